"""Projecting a question: the queries with which the model itself would look for the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.models.base import QueryReader, Tokenizing
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.text import check_text
from s3_retriever.validation import is_blank

if TYPE_CHECKING:  # a search for words alone has no torch
    from torch import Tensor

__all__ = [
    "ProjectedQuestion",
    "cache_queries",
    "check_question",
    "project_question",
    "question_ids",
]


_CHARACTERS = 8
"""Of a question for each token of the model's window: more is refused before it is tokenised. A
question is read twice, and no language has tokens of sixteen characters on average."""


@dataclass(frozen=True)
class ProjectedQuestion:
    """A question's query projections at some layers."""

    text: str
    queries: Mapping[int, Tensor]
    """``(n_tokens, n_heads, head_dim)`` float32 by layer."""


def project_question(
    llm: QueryReader,
    card: ProfileCard,
    text: str,
    layers: Sequence[int] | None = None,
    cache: QueryCache | None = None,
) -> ProjectedQuestion:
    """Read the question twice and keep the queries of the second copy.

    In the second copy every token of the question has seen all of it; measured, this raises the
    best heads from nowhere to the top.

    Args:
        llm: the resident model.
        card: says what the question is put in.
        text: plain text.
        layers: whose queries; by default those that the profile codes.
        cache: of questions that were read together before.

    Raises:
        InputError: the question is empty, or longer than the model's window allows.
    """
    first, second = question_ids(llm, card, text)
    wanted = card.layers if layers is None else tuple(layers)
    ids = np.concatenate([first, second])
    found = cache.get(ids, wanted) if cache is not None else None
    if found is None:
        read = llm.read_queries([ids], wanted)
        found = {layer: queries[0] for layer, queries in read.items()}
    return ProjectedQuestion(text, {layer: q[len(first) :].float() for layer, q in found.items()})


def cache_queries(
    llm: QueryReader, card: ProfileCard, questions: Iterable[str], most_tokens: int
) -> QueryCache:
    """Read questions together; those that cannot be used are left out.

    Args:
        llm: the resident model.
        card: says what a question is put in.
        questions: plain texts.
        most_tokens: most tokens of one forward pass, padding included.
    """
    texts = []
    usable = {q for q in listed(questions, "questions") if isinstance(q, str)}
    for question in sorted(usable):
        with suppress(InputError):
            texts.append(np.concatenate(question_ids(llm, card, question)))
    return QueryCache(llm, texts, card.layers, most_tokens=most_tokens)


def check_question(text: str, window: int) -> None:
    """Refuse what is no question, before it is read.

    Args:
        text: the question.
        window: of the model, in tokens.

    Raises:
        InputError: it is no string, empty, far too long, or holds what UTF-8 cannot store.
    """
    if not isinstance(text, str):
        raise InputError(f"a question is a string, not {type(text).__name__}")
    if len(text) > (most := _CHARACTERS * window):
        raise InputError(
            f"the question has {len(text)} characters, more than {most}, "
            f"which is {_CHARACTERS} for each token of the model's window; shorten it"
        )
    if is_blank(text):
        raise InputError("the question is empty")
    check_text(text)


def question_ids(llm: Tokenizing, card: ProfileCard, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of both copies of a question, as they are read.

    Raises:
        InputError: the question is empty, or longer than the model's window allows.
    """
    check_question(text, llm.window)
    parts = [part.replace("{question}", text) for part in card.question_prompt]
    first = llm.prefix_ids(parts[0], bos=card.bos)
    second = llm.tokenize(parts[1]).ids
    length = len(first) + len(second)
    if length > llm.window:
        raise InputError(
            f"the question takes {length} tokens (it is read twice), more than the window of "
            f"{llm.window}; shorten it"
        )
    return first, second
