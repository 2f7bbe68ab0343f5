"""Questions whose evidence is exact spans of long documents.

Source: Smith and Troynikov, Evaluating Chunking Strategies for Retrieval (Chroma, 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Question
from s3_retriever.labels.datasets.records import draw, expecting, place_in, read_text
from s3_retriever.types import Document

__all__ = ["load_spans"]


def load_spans(
    path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of documents and the questions on them.

    A record has ``id``, ``document`` (the file ``<document>.md`` beside the records), ``question``
    and ``evidence`` (``start`` and ``end``, in characters of the file as it is). There are no
    passages.

    Args:
        path: of the records.
        records: its records.
        corpus: one collection of all documents, rather than one a document.
        limit: as in :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the draw.

    Raises:
        InputError: a record of another form or a span outside its document, a document is
            missing, or no question with evidence.
    """
    documents: dict[str, Document] = {}
    asked: list[tuple[str, Question]] = []
    for number, record in enumerate(records, start=1):
        with expecting("record of spans", path, number):
            doc_id = record["document"]
            if doc_id not in documents:
                documents[doc_id] = Document(doc_id, read_text(_file(path.parent, doc_id)))
            evidence = tuple(place_in(documents[doc_id], span) for span in record["evidence"])
            if evidence:
                question = Question(str(record["id"]), record["question"], evidence=evidence)
                asked.append((doc_id, question))
    drawn = draw(asked, path, limit=limit, seed=seed)
    if corpus:
        return [Collection(tuple(documents.values()), tuple(question for _, question in drawn))]
    by_document: dict[str, list[Question]] = {}
    for doc_id, question in drawn:
        by_document.setdefault(doc_id, []).append(question)
    return [Collection((documents[i],), tuple(group)) for i, group in by_document.items()]


def _file(folder: Path, doc_id: str) -> Path:
    """A document's file: of its name, or of its name and ``.md``, as Chroma's have it."""
    named = folder / doc_id
    return named if named.is_file() else folder / f"{doc_id}.md"
