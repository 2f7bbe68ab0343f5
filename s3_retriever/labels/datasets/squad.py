"""SQuAD: articles, their paragraphs, and questions answered in one of these.

Source: SQuAD (arXiv 1606.05250), version 1.1 or 2.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.datasets.records import draw, expecting, unique
from s3_retriever.text import find_bounds
from s3_retriever.types import Document

__all__ = ["load_squad"]

SEPARATOR = "\n\n"
"""Between the paragraphs of an article."""


@dataclass(frozen=True)
class _Article:
    title: str
    paragraphs: tuple[str, ...]

    def documents(self, corpus: bool) -> list[Document]:
        if not corpus:
            return [Document(self.title, SEPARATOR.join(self.paragraphs))]
        return [Document(self._id_of(n), text) for n, text in enumerate(self.paragraphs)]

    def places(self, corpus: bool) -> list[Place]:
        """Where each paragraph stands in :meth:`documents`."""
        found, at = [], 0
        for number, text in enumerate(self.paragraphs):
            doc_id, start = (self._id_of(number), 0) if corpus else (self.title, at)
            found.append(Place(doc_id, start, start + len(text)))
            at += len(text) + len(SEPARATOR)
        return found

    def _id_of(self, number: int) -> str:
        return f"{self.title}, paragraph {number + 1}"


@dataclass(frozen=True)
class _Asked:
    id: str
    text: str
    answers: tuple[str, ...]
    article: int
    paragraph: int
    starts: tuple[int, ...]
    """First character of each annotator's answer in the paragraph."""


def load_squad(
    path: Path, records: Sequence[Any], *, corpus: bool, limit: int | None, seed: int
) -> list[Collection]:
    """Collections of articles and the questions on them.

    Evidence is the one sentence in which most of the annotators' answers begin. In the distractor
    setting an article is one document, in the corpus setting each of its paragraphs is; articles
    that no drawn question is about are left out.

    Args:
        path: of the file, for messages.
        records: the file's one JSON value.
        corpus: the corpus setting rather than the distractor setting.
        limit: as in :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the draw.

    Raises:
        InputError: an article of another form, or no question with an answer.
    """
    articles: list[_Article] = []
    asked: list[_Asked] = []
    taken: set[str] = set()
    for number, record in enumerate(records[0]["data"], start=1):
        with expecting("SQuAD article", path, number):
            texts = tuple(p["context"] for p in record["paragraphs"])
            articles.append(_Article(unique(record["title"], taken), texts))
            for n, paragraph in enumerate(record["paragraphs"]):
                for qa in paragraph["qas"]:
                    if qa["answers"]:
                        asked.append(_question(qa, number - 1, n))
    by_article: dict[int, list[_Asked]] = {}
    for question in draw(asked, path, limit=limit, seed=seed):
        by_article.setdefault(question.article, []).append(question)
    found = [_collection(articles[n], group, corpus) for n, group in by_article.items()]
    return [_joined(found)] if corpus else found


def _question(qa: dict[str, Any], article: int, paragraph: int) -> _Asked:
    answers = tuple(dict.fromkeys(answer["text"] for answer in qa["answers"]))
    starts = tuple(int(answer["answer_start"]) for answer in qa["answers"])
    return _Asked(str(qa["id"]), qa["question"], answers, article, paragraph, starts)


def _gold_sentence(text: str, starts: Sequence[int]) -> tuple[int, int]:
    # the offset of a short answer may be that of a chance occurrence further up: most are right
    sentences = find_bounds(text)
    found = Counter(sentences.sentences_over(start, start + 1)[0] for start in starts)
    return found.most_common(1)[0][0]


def _collection(article: _Article, asked: Sequence[_Asked], corpus: bool) -> Collection:
    places = article.places(corpus)
    questions = []
    for item in asked:
        passage = places[item.paragraph]
        start, end = _gold_sentence(article.paragraphs[item.paragraph], item.starts)
        gold = Place(passage.doc_id, passage.start + start, passage.start + end)
        questions.append(Question(item.id, item.text, item.answers, (gold,), (passage,)))
    return Collection(tuple(article.documents(corpus)), tuple(questions), tuple(places))


def _joined(collections: Sequence[Collection]) -> Collection:
    return Collection(
        documents=tuple(d for c in collections for d in c.documents),
        questions=tuple(q for c in collections for q in c.questions),
        passages=tuple(p for c in collections for p in c.passages),
    )
