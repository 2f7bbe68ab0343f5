"""What is evaluated on: documents, and questions whose evidence in them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from s3_retriever.types import Document

__all__ = ["Collection", "Place", "Question", "Setting"]

Setting = Literal["distractor", "corpus"]
"""Each question's own context as one long document, or many documents for all questions."""


class Place(NamedTuple):
    """A range of characters of one document."""

    doc_id: str
    start: int
    end: int


@dataclass(frozen=True)
class Question:
    """A question and what is known of its evidence; what a data set does not label is empty."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    evidence: tuple[Place, ...] = ()
    """Each gold supporting sentence or span."""
    gold_passages: tuple[Place, ...] = ()
    """Paragraphs that hold evidence: members of :attr:`Collection.passages`."""
    grades: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Graded relevance by document id (BEIR)."""


@dataclass(frozen=True)
class Collection:
    """Documents that are read together, and the questions asked of them.

    In the distractor setting there is one collection a context, of one long document; in the
    corpus setting one collection holds all documents and all questions.
    """

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    passages: tuple[Place, ...] = ()
    """Paragraphs, the units of passage recall; every one, gold or not, in the text's order."""

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Text by document id."""
        return {document.id: document.text for document in self.documents}

    @cached_property
    def passages_of(self) -> Mapping[str, Sequence[Place]]:
        """Paragraphs by document id; a document without any is missing."""
        found: dict[str, list[Place]] = {}
        for passage in self.passages:
            found.setdefault(passage.doc_id, []).append(passage)
        return found

    def text(self, place: Place) -> str:
        """The characters of a place."""
        return self.texts[place.doc_id][place.start : place.end]

    def text_of(self, places: Sequence[Place]) -> str:
        """The characters of several places, a line between two."""
        return "\n".join(self.text(place) for place in places)
