"""Long documents with known evidence: the contexts of several questions, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.models.base import Tokenizing
from s3_retriever.types import Document

__all__ = ["join"]

SEPARATOR = "\n\n"
"""Between two contexts."""


def join(
    collections: Sequence[Collection], llm: Tokenizing, max_tokens: int
) -> Iterator[Collection]:
    """Collections whose one document holds several contexts, and which ask all their questions.

    A document is filled with whole contexts and then with the beginning of the next one, whose
    question is not asked there, so that every document but the last has ``max_tokens`` tokens.

    Args:
        collections: of the distractor setting: one document each.
        llm: its tokens are counted.
        max_tokens: of one document.
    """
    waiting = list(collections)
    while waiting:
        text = ""
        questions: list[Question] = []
        passages: list[Place] = []
        while waiting:
            [document] = waiting[0].documents
            longer = text + (SEPARATOR if text else "") + document.text
            tokens = llm.tokenize(longer)
            if len(tokens) > max_tokens:
                text = longer[: int(tokens.ends[max_tokens - 1])]
                if not questions:  # longer than a document on its own: nothing can ask of it
                    waiting.pop(0)
                break
            at = len(longer) - len(document.text)
            questions += [_moved_question(q, at) for q in waiting[0].questions]
            passages += [_moved(p, at) for p in waiting[0].passages]
            text = longer
            waiting.pop(0)
        if questions:
            yield Collection((Document("context", text),), tuple(questions), tuple(passages))


def _moved_question(question: Question, at: int) -> Question:
    return replace(
        question,
        evidence=tuple(_moved(place, at) for place in question.evidence),
        gold_passages=tuple(_moved(place, at) for place in question.gold_passages),
    )


def _moved(place: Place, at: int) -> Place:
    return Place("context", place.start + at, place.end + at)
