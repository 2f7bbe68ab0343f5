"""What a query adapter learns from: questions, codes, and the model's judgement of passages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.legs.query_likelihood import clamped_gains
from s3_retriever.retrieval.query import ProjectedQuestion, project_question
from s3_retriever.settings import ScanSettings
from s3_retriever.training.calibration.precision import token_bounds

__all__ = ["DistillationExample", "distillation_examples", "projected"]


@dataclass(frozen=True)
class DistillationExample:
    """A question, the codes of its context, and what the model says of each passage."""

    question: ProjectedQuestion
    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` latents."""
    activations: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` uint8 steps."""
    bounds: Sequence[tuple[int, int]]
    """First and one past the last token of each passage."""
    gains: np.ndarray
    """``(n_passages,)`` clamped gains of the question's likelihood, in nats a token."""
    gold: np.ndarray
    """``(n_passages,)`` bool; only measured, never learned from."""


def distillation_examples(
    llm: LanguageModel,
    profile: Profile,
    collections: Iterable[Collection],
    *,
    on_question: Callable[[int], None] = lambda done: None,
) -> list[DistillationExample]:
    """Read contexts, and ask the model how likely each passage makes each question.

    Questions that no passage explains better than another teach nothing and are left out. Memory
    is that of the codes: about 0.1 MB a context of 1,300 tokens.

    Args:
        llm: the teacher.
        profile: made for it.
        collections: questions with passages, each collection of one document.
        on_question: called with the number of questions done.
    """
    scanner = Scanner(llm, profile, ScanSettings())
    examples = []
    done = 0
    for collection in collections:
        (coded,) = scanner.scan(collection.documents)
        tokens = llm.tokenize(coded.document.text)
        bounds = token_bounds(tokens, collection.passages)
        passages = [tokens.ids[start:end] for start, end in bounds]
        for question in collection.questions:
            values = llm.question_log_likelihoods(passages, question.text)
            gains = clamped_gains(values)
            if gains.max() > 0:
                gold = np.array([p in question.gold_passages for p in collection.passages])
                asked = projected(llm, profile, question.text)
                examples.append(
                    DistillationExample(asked, coded.ids, coded.activations, bounds, gains, gold)
                )
            done += 1
            on_question(done)
    return examples


def projected(llm: LanguageModel, profile: Profile, question: str) -> ProjectedQuestion:
    """A question's queries as tensors that a gradient may pass."""
    found = project_question(llm, profile.card, question)
    return ProjectedQuestion(
        question, {layer: torch.clone(q.cpu()) for layer, q in found.queries.items()}
    )
