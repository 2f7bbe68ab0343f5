"""LoCoMo: conversations of many sessions, and questions with the turns that answer them.

Source: LoCoMo (arXiv 2402.17753).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Question
from s3_retriever.labels.datasets.records import draw, expecting, place_in
from s3_retriever.types import Document

__all__ = ["load_locomo"]


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
    conversations: dict[str, tuple[Document, ...]] = {}
    asked: list[tuple[str, Question]] = []
    for number, record in enumerate(records, start=1):
        with expecting("LoCoMo conversation", path, number):
            name = str(record["id"])
            # sessions of all conversations have the same names
            sessions = {
                session["id"]: Document(f"{name}, {session['id']}", session["text"])
                for session in record["documents"]
            }
            conversations[name] = tuple(sessions.values())
            questions = [_question(one, sessions) for one in record["questions"]]
            asked += [(name, q) for q in questions if q.evidence and q.answers]
    by_conversation: dict[str, list[Question]] = {}
    for name, question in draw(asked, path, limit=limit, seed=seed):
        by_conversation.setdefault(name, []).append(question)
    found = [
        Collection(conversations[name], tuple(group)) for name, group in by_conversation.items()
    ]
    if not corpus:
        return found
    return [
        Collection(
            tuple(document for c in found for document in c.documents),
            tuple(question for c in found for question in c.questions),
        )
    ]


def _question(record: dict[str, Any], sessions: dict[str, Document]) -> Question:
    evidence = (place_in(sessions[span["document"]], span) for span in record["evidence"])
    return Question(
        id=str(record["id"]),
        text=record["question"],
        answers=(record["answer"],) if record["answer"] else (),
        evidence=tuple(dict.fromkeys(evidence)),
    )
