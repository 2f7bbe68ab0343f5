"""LoCoMo: conversations of many sessions, and questions with the turns that answer them.

Source: LoCoMo (arXiv 2402.17753).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Question
from s3_retriever.labels.datasets.records import draw, expecting, place_in
from s3_retriever.types import Document

__all__ = ["load_locomo", "unanswerable_questions"]


def load_locomo(
    path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of conversations and the questions that they answer.

    A record has ``id``, ``documents`` (``id`` and ``text``: a session each) and ``questions``
    (``id``, ``question``, ``answer``, ``evidence`` of ``document``, ``start`` and ``end``). Each
    turn of the evidence is one piece. Questions with an empty answer, which the conversation does
    not answer, are left out: their evidence only looks like it. There are no passages.

    Args:
        path: of the file, for messages.
        records: its records.
        corpus: one collection of the conversations asked about, rather than one a conversation.
        limit: as in :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the draw.

    Raises:
        InputError: a record of another form or a span outside its document, or no question with
            evidence.
    """
    conversations = _read(path, records)
    asked = [
        (number, question)
        for number, conversation in enumerate(conversations)
        for question in conversation.questions
        if question.evidence and question.answers
    ]
    found = _grouped(conversations, draw(asked, path, limit=limit, seed=seed))
    if not corpus:
        return found
    return [
        Collection(
            tuple(document for c in found for document in c.documents),
            tuple(question for c in found for question in c.questions),
        )
    ]


def unanswerable_questions(
    path: Path, records: Sequence[Any], *, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of conversations and the questions that they do not answer.

    Args:
        path: of the file, for messages.
        records: its records; see :func:`load_locomo`.
        limit: draw so many questions; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: a record of another form, or no question without an answer.
    """
    conversations = _read(path, records)
    asked = [
        (number, replace(question, evidence=()))
        for number, conversation in enumerate(conversations)
        for question in conversation.questions
        if not question.answers
    ]
    return _grouped(conversations, draw(asked, path, limit=limit, seed=seed))


def _read(path: Path, records: Sequence[Any]) -> list[Collection]:
    """Every conversation with all its questions."""
    found = []
    for number, record in enumerate(records, start=1):
        with expecting("LoCoMo conversation", path, number):
            # sessions of all conversations have the same names
            sessions = {
                session["id"]: Document(f"{record['id']}, {session['id']}", session["text"])
                for session in record["documents"]
            }
            questions = tuple(_question(one, sessions) for one in record["questions"])
            found.append(Collection(tuple(sessions.values()), questions))
    return found


def _grouped(
    conversations: Sequence[Collection], asked: Sequence[tuple[int, Question]]
) -> list[Collection]:
    """Questions by conversation, in the order in which conversations are asked first."""
    groups: dict[int, list[Question]] = {}
    for number, question in asked:
        groups.setdefault(number, []).append(question)
    return [Collection(conversations[n].documents, tuple(group)) for n, group in groups.items()]


def _question(record: dict[str, Any], sessions: dict[str, Document]) -> Question:
    evidence = (place_in(sessions[span["document"]], span) for span in record["evidence"])
    return Question(
        id=str(record["id"]),
        text=record["question"],
        answers=(record["answer"],) if record["answer"] else (),
        evidence=tuple(dict.fromkeys(evidence)),
    )
