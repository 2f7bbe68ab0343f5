"""HotpotQA, 2WikiMultiHopQA and MuSiQue in one JSON form a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.datasets.records import draw, expecting, unique
from s3_retriever.text import find_bounds
from s3_retriever.types import Document

__all__ = ["load_multihop"]

SEPARATOR = "\n\n"
"""Between the paragraphs of one long context."""


@dataclass(frozen=True)
class _Paragraph:
    title: str
    text: str
    """With the title in front."""
    is_gold: bool
    evidence: tuple[tuple[int, int], ...]
    """Characters of each gold sentence in ``text``."""


@dataclass(frozen=True)
class _Record:
    id: str
    question: str
    answers: tuple[str, ...]
    paragraphs: tuple[_Paragraph, ...]

    def asked(self, places: Iterable[tuple[str, int]]) -> Question:
        """The question, with each paragraph at a document and a first character there."""
        passages, evidence = [], []
        for paragraph, (doc_id, at) in zip(self.paragraphs, places, strict=True):
            if paragraph.is_gold:
                passages.append(Place(doc_id, at, at + len(paragraph.text)))
                evidence += [Place(doc_id, at + a, at + b) for a, b in paragraph.evidence]
        return Question(
            id=self.id,
            text=self.question,
            answers=self.answers,
            evidence=tuple(dict.fromkeys(evidence)),
            gold_passages=tuple(dict.fromkeys(passages)),
        )


def load_multihop(
    path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of multi-hop records.

    A record has ``id``, ``question``, ``answers`` and ``paragraphs`` (``title``, ``text``,
    ``is_supporting`` and, where sentences are labelled, ``sentences`` and ``supporting_sents``;
    where they are not, as in MuSiQue, every sentence of a supporting paragraph is gold). Each
    paragraph stands under its title. In the corpus setting each paragraph of the drawn records is
    a document, named by its title; one that several records have is there once.

    Args:
        path: of the file, for messages.
        records: its records.
        corpus: the corpus setting rather than the distractor setting.
        limit: as in :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the draw.

    Raises:
        InputError: a record of another form, or no question with gold evidence.
    """
    found = []
    for number, record in enumerate(records, start=1):
        with expecting("multi-hop record", path, number):
            parsed = _parse(record)
        if any(paragraph.evidence for paragraph in parsed.paragraphs):
            found.append(parsed)
    drawn = draw(found, path, limit=limit, seed=seed)
    return [_as_corpus(drawn)] if corpus else [_as_context(record) for record in drawn]


def _as_context(record: _Record) -> Collection:
    begins, at = [], 0
    for paragraph in record.paragraphs:
        begins.append(at)
        at += len(paragraph.text) + len(SEPARATOR)
    text = SEPARATOR.join(paragraph.text for paragraph in record.paragraphs)
    return Collection(
        documents=(Document("context", text),),
        questions=(record.asked(("context", at) for at in begins),),
        passages=tuple(
            Place("context", at, at + len(paragraph.text))
            for at, paragraph in zip(begins, record.paragraphs, strict=True)
        ),
    )


def _as_corpus(records: Sequence[_Record]) -> Collection:
    taken: set[str] = set()
    ids: dict[str, str] = {}
    for record in records:
        for paragraph in record.paragraphs:
            if paragraph.text not in ids:
                ids[paragraph.text] = unique(paragraph.title, taken)
    return Collection(
        documents=tuple(Document(doc_id, text) for text, doc_id in ids.items()),
        questions=tuple(r.asked((ids[p.text], 0) for p in r.paragraphs) for r in records),
        passages=tuple(Place(doc_id, 0, len(text)) for text, doc_id in ids.items()),
    )


def _parse(record: dict[str, Any]) -> _Record:
    return _Record(
        id=str(record["id"]),
        question=record["question"],
        answers=tuple(record["answers"]),
        paragraphs=tuple(map(_paragraph, record["paragraphs"])),
    )


def _paragraph(paragraph: dict[str, Any]) -> _Paragraph:
    title, is_gold = paragraph["title"], bool(paragraph["is_supporting"])
    text = f"{title}\n{paragraph['text']}"
    evidence = _gold_sentences(paragraph, text, len(title) + 1) if is_gold else ()
    return _Paragraph(title or "untitled", text, is_gold, tuple(evidence))


def _gold_sentences(paragraph: dict[str, Any], text: str, at: int) -> Iterable[tuple[int, int]]:
    """Characters of the supporting sentences, which begin at or after ``at``."""
    if "sentences" not in paragraph:
        at = len(text) - len(text[at:].lstrip())
        yield from (
            (max(start, at), end) for start, end in find_bounds(text).sentences_over(at, len(text))
        )
        return
    for number, sentence in enumerate(paragraph["sentences"]):
        stripped = sentence.strip()
        position = text.find(stripped, at)
        if stripped and position >= 0:
            at = position + len(stripped)
            if number in paragraph["supporting_sents"]:
                yield position, at
