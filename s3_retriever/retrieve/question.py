"""Projecting a question: the queries with which the model itself would look for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from s3_retriever.errors import InputError
from s3_retriever.generator.generator import Generator, check_text
from s3_retriever.profile import Profile

__all__ = ["ProjectedQuestion", "project_question", "question_ids"]


@dataclass(frozen=True)
class ProjectedQuestion:
    """A question's query projections at the tapped layers."""

    text: str
    queries: Mapping[int, Tensor]
    """``(n_tokens, n_heads, head_dim)`` float32 by layer."""


def project_question(generator: Generator, profile: Profile, text: str) -> ProjectedQuestion:
    """Read the question twice and keep the queries of the second copy.

    In the second copy every token of the question has seen all of it; measured, this raises the
    best heads from nowhere to the top.

    Raises:
        InputError: the question is empty, or longer than the model's window allows.
    """
    first, second = question_ids(generator, profile, text)
    found = generator.project(
        [np.concatenate([first, second])], profile.layers, with_keys=False, with_queries=True
    )
    queries = {layer: q[0, len(first) :].float() for layer, q in found.queries.items()}
    return ProjectedQuestion(text, queries)


def question_ids(
    generator: Generator, profile: Profile, text: str
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of both copies of a question, as they are read.

    Raises:
        InputError: the question is empty, or longer than the model's window allows.
    """
    if not text.strip():
        raise InputError("the question is empty")
    check_text(text)
    parts = [part.replace("{question}", text) for part in profile.card.question_prompt]
    first = generator.prefix_ids(parts[0], bos=profile.card.bos)
    second = generator.tokenize(parts[1]).ids
    length = len(first) + len(second)
    if length > generator.window:
        raise InputError(
            f"the question takes {length} tokens (it is read twice), more than the window of "
            f"{generator.window}; shorten it"
        )
    return first, second
