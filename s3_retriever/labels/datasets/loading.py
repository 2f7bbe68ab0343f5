"""Which format a file has is seen from the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Setting
from s3_retriever.labels.datasets.beir import load_beir
from s3_retriever.labels.datasets.locomo import load_locomo, unanswerable_questions
from s3_retriever.labels.datasets.multihop import load_multihop
from s3_retriever.labels.datasets.qmsum import load_qmsum
from s3_retriever.labels.datasets.records import read_records
from s3_retriever.labels.datasets.spans import load_spans
from s3_retriever.labels.datasets.squad import load_squad
from s3_retriever.quoting import brief

__all__ = ["load_collections", "load_unanswerable"]


class _Loader(Protocol):
    def __call__(
        self, path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
    ) -> list[Collection]: ...


_BY_FIELD: dict[str, _Loader] = {
    "paragraphs": load_multihop,
    "meeting_transcripts": load_qmsum,
    "data": load_squad,
    "document": load_spans,
    "documents": load_locomo,
}
"""The field of a record that only this format has."""
SPANS_FILE = "questions.jsonl"
"""What a folder of documents with spans holds beside them."""


def load_collections(
    path: Path, *, setting: Setting = "distractor", limit: int | None = None, seed: int = 0
) -> list[Collection]:
    """Read multi-hop records, QMSum, SQuAD, LoCoMo, documents with spans or a BEIR folder.

    Questions without any gold evidence are left out before the draw.

    Args:
        path: a JSON or JSON-lines file, a folder that holds ``questions.jsonl`` of spans, or a
            BEIR folder (corpus setting only).
        setting: in the distractor setting there is one collection a context; in the corpus setting
            one collection of the drawn questions' documents (BEIR, spans: of all documents).
        limit: draw this many questions with ``seed``; ``None`` takes all, in the file's order.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read, has none of these formats (names the record), or
            holds no question with gold evidence.
    """
    if (path / SPANS_FILE).is_file():
        path = path / SPANS_FILE
    if path.is_dir():
        if setting != "corpus":
            raise InputError(f"{brief(path)} is a BEIR folder, which has the corpus setting only")
        return load_beir(path, limit=limit, seed=seed)
    records = read_records(path)
    first = records[0] if records and isinstance(records[0], dict) else {}
    for field, loader in _BY_FIELD.items():
        if field in first:
            return loader(path, records, corpus=setting == "corpus", limit=limit, seed=seed)
    raise InputError(
        f"{brief(path)} has no known format: it must hold multi-hop records, QMSum meetings, "
        "SQuAD, LoCoMo conversations or questions with spans, or be a BEIR folder"
    )


def load_unanswerable(path: Path, *, limit: int | None = None, seed: int = 0) -> list[Collection]:
    """Questions that their own documents do not answer, of a data set that has such.

    Args:
        path: a file of LoCoMo conversations.
        limit: draw this many questions with ``seed``; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read, or is of another format.
    """
    records = read_records(path)
    if not records or not isinstance(records[0], dict) or "documents" not in records[0]:
        raise InputError(f"{brief(path)} holds no questions without an answer: LoCoMo does")
    return unanswerable_questions(path, records, limit=limit, seed=seed)
