"""What a query adapter learns from: questions, codes, and the generator's judgement of passages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s3_retriever.calibrate.precision import token_bounds
from s3_retriever.config import ScanSettings
from s3_retriever.evaluate.collection import Collection
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.likelihood import question_log_likelihoods
from s3_retriever.profile import Profile
from s3_retriever.retrieve.question import ProjectedQuestion, project_question
from s3_retriever.retrieve.rerank import clamped_gains
from s3_retriever.scan.scanner import Scanner

__all__ = ["Lesson", "lessons_of", "projected"]


@dataclass(frozen=True)
class Lesson:
    """A question, the codes of its context, and what the generator says of each passage."""

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


def lessons_of(
    generator: Generator,
    profile: Profile,
    collections: Iterable[Collection],
    *,
    on_question: Callable[[int], None] = lambda done: None,
) -> list[Lesson]:
    """Read contexts, and ask the generator how likely each passage makes each question.

    Questions that no passage explains better than another teach nothing and are left out. Memory
    is that of the codes: about 0.1 MB a context of 1,300 tokens.

    Args:
        generator: the teacher.
        profile: made for it.
        collections: questions with passages, each collection of one document.
        on_question: called with the number of questions done.
    """
    scanner = Scanner(generator, profile, ScanSettings())
    lessons = []
    done = 0
    for collection in collections:
        (coded,) = scanner.scan(collection.documents)
        bounds = token_bounds(coded.tokens, collection.passages)
        passages = [coded.tokens.ids[start:end] for start, end in bounds]
        for question in collection.questions:
            values = question_log_likelihoods(generator, passages, question.text)
            gains = clamped_gains(values)
            if gains.max() > 0:
                gold = np.array([p in question.gold_passages for p in collection.passages])
                asked = projected(generator, profile, question.text)
                lessons.append(Lesson(asked, coded.ids, coded.activations, bounds, gains, gold))
            done += 1
            on_question(done)
    return lessons


def projected(generator: Generator, profile: Profile, question: str) -> ProjectedQuestion:
    """A question's queries as tensors that a gradient may pass."""
    found = project_question(generator, profile, question)
    return ProjectedQuestion(
        question, {layer: torch.clone(q.cpu()) for layer, q in found.queries.items()}
    )
