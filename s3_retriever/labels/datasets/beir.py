"""A BEIR folder: a corpus, queries and graded judgements.

Source: BEIR (arXiv 2104.08663).
"""

from __future__ import annotations

from pathlib import Path

from s3_retriever.labels.collections import Collection, Question
from s3_retriever.labels.datasets.records import draw, expecting, read_records, read_text
from s3_retriever.types import Document

__all__ = ["load_beir"]


def load_beir(folder: Path, *, limit: int | None, seed: int) -> list[Collection]:
    """One collection of all documents and the queries that are judged.

    A document is its title and, on the next line, its text; one without either is left out.
    Queries without a relevant document are left out, too.

    Args:
        folder: holds ``corpus.jsonl``, ``queries.jsonl`` and the judgements, as
            ``qrels/test.tsv`` or, as in LIMIT (arXiv 2508.21038), as records in ``qrels.jsonl``.
        limit: draw this many queries; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: a file is missing or has another form, or no query has a relevant document.
    """
    documents: dict[str, Document] = {}
    path = folder / "corpus.jsonl"
    for number, record in enumerate(read_records(path), start=1):
        with expecting("BEIR document", path, number):
            text = "\n".join(part for part in (record.get("title"), record["text"]) if part)
            if text.strip():
                documents[record["_id"]] = Document(record["_id"], text)
    grades = _read_grades(folder)
    questions = []
    path = folder / "queries.jsonl"
    for number, record in enumerate(read_records(path), start=1):
        with expecting("BEIR query", path, number):
            judged = {i: g for i, g in grades.get(record["_id"], {}).items() if i in documents}
            if any(grade > 0 for grade in judged.values()):
                questions.append(Question(record["_id"], record["text"], grades=judged))
    drawn = draw(questions, folder, limit=limit, seed=seed)
    return [Collection(tuple(documents.values()), tuple(drawn))]


def _read_grades(folder: Path) -> dict[str, dict[str, int]]:
    """Grade by query and document."""
    found: dict[str, dict[str, int]] = {}
    path = folder / "qrels.jsonl"
    if path.exists():
        for number, record in enumerate(read_records(path), start=1):
            with expecting("BEIR judgement", path, number):
                grades = found.setdefault(record["query-id"], {})
                grades[record["corpus-id"]] = int(record["score"])
        return found
    path = folder / "qrels" / "test.tsv"
    for number, line in enumerate(read_text(path).splitlines()[1:], start=1):  # behind the header
        if line.strip():
            with expecting("line of query-id, corpus-id and score", path, number):
                query, document, score = line.split("\t")
                found.setdefault(query, {})[document] = int(score)
    return found
