"""QMSum: meetings, and questions whose relevant turns are known.

Source: QMSum (arXiv 2104.05938).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.datasets.records import draw, expecting
from s3_retriever.types import Document

__all__ = ["load_qmsum"]


def load_qmsum(
    path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of meetings and their specific queries.

    A document is a transcript, one turn a line behind its speaker. Each turn of a query's relevant
    spans is one piece of evidence (what was said, without the speaker): a whole span, often
    thousands of tokens, fits no budget. The gold answers are summaries that stand in no transcript,
    so they are left out. Turns are too many and too short to be passages; there are none.

    Args:
        path: of the file, for messages.
        records: its records.
        corpus: one collection of the meetings asked about, rather than one a meeting.
        limit: as in :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the draw.

    Raises:
        InputError: a record of another form, or no question with gold evidence.
    """
    documents: dict[str, Document] = {}
    asked: list[tuple[str, Question]] = []
    for number, record in enumerate(records, start=1):
        with expecting("QMSum meeting", path, number):
            document, turns = _transcript(f"meeting {number}", record["meeting_transcripts"])
            documents[document.id] = document
            for query in record["specific_query_list"]:
                evidence = _evidence(turns, query["relevant_text_span"])
                name = f"{document.id}, question {len(asked) + 1}"
                if evidence:
                    question = Question(name, query["query"], evidence=evidence)
                    asked.append((document.id, question))
    by_document: dict[str, list[Question]] = {}
    for doc_id, question in draw(asked, path, limit=limit, seed=seed):
        by_document.setdefault(doc_id, []).append(question)
    if corpus:
        questions = tuple(q for group in by_document.values() for q in group)
        return [Collection(tuple(documents[i] for i in by_document), questions)]
    return [Collection((documents[i],), tuple(group)) for i, group in by_document.items()]


def _transcript(doc_id: str, turns: Sequence[dict[str, str]]) -> tuple[Document, list[Place]]:
    """The meeting as a document, and where in it the words of each turn are."""
    text, places = "", []
    for turn in turns:
        text += f"{turn['speaker']}: "
        words = turn["content"].strip()
        places.append(Place(doc_id, len(text), len(text) + len(words)))
        text += f"{words}\n"
    return Document(doc_id, text), places


def _evidence(turns: Sequence[Place], spans: Sequence[Sequence[str]]) -> tuple[Place, ...]:
    """The turns of all spans (first and last number, both inside), without silent ones."""
    numbers = {n for first, last in spans for n in range(int(first), int(last) + 1)}
    return tuple(turns[n] for n in sorted(numbers) if turns[n].start < turns[n].end)
