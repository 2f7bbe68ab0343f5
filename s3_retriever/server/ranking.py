"""Texts of somebody else in the order in which they answer a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.engine import Engine
from s3_retriever.types import Document
from s3_retriever.validation import problem_of

__all__ = ["Ranked", "rank"]


@dataclass(frozen=True)
class Ranked:
    """A text's place."""

    index: int
    """Among those that were given."""
    score: float
    """Of its best span; 0 if it has none."""
    relevance: float
    """The same from 0 to 1, where 1 is a span that every leg finds best."""


def rank(engine: Engine, question: str, texts: Sequence[str]) -> list[Ranked]:
    """Order texts by the best span that each has for a question; nothing of them is kept.

    Args:
        engine: reads them.
        question: plain text.
        texts: those that are blank or no text come last.

    Raises:
        InputError: the question is empty or too long.
    """
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    usable = [document for document in documents if problem_of(document) is None]
    best = dict.fromkeys(range(len(texts)), 0.0)
    if usable:
        for span in engine.select(question, usable, max_tokens=None):
            best[int(span.doc_id)] = max(best[int(span.doc_id)], span.score)
    most = engine.highest_score()
    ranked = [Ranked(n, score, min(1.0, score / most)) for n, score in best.items()]
    return sorted(ranked, key=lambda item: -item.score)
