"""Documents of other stores, read for one question: their ids and metadata stay outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from s3_retriever.arguments import DOCUMENTS, checked
from s3_retriever.errors import InputError
from s3_retriever.giving import Givable, as_document
from s3_retriever.types import Document, Span
from s3_retriever.validation import problem_of

__all__ = ["Selection"]


class Selection:
    """Documents under numbers, since those of several stores may share an id.

    Example:
        >>> twins = Selection([Document("0", "Cats purr."), Document("0", "Dogs bark.")])
        >>> [document.id for document in twins.numbered]
        ['0', '1']
        >>> twins.restored([Span("1", 0, 4, "Dogs", score=1.0, scores={}, rank=0)])[0].doc_id
        '0'
    """

    @checked(documents=DOCUMENTS)
    def __init__(self, documents: Givable | Iterable[Givable]) -> None:
        """Take documents, or one.

        Args:
            documents: of any store. What no index could keep of their metadata is no hindrance.
        """
        self._given = [_converted(document) for document in cast(list[Givable], documents)]
        self.numbered = [
            _bare(document, str(n)) if isinstance(document, Document) else document
            for n, document in enumerate(self._given)
        ]
        """The same texts in the same order; metadata only where a filter could ask for it."""

    def restored(self, spans: Iterable[Span]) -> list[Span]:
        """Spans of the numbered documents with the ids and the metadata that were given."""
        found = []
        for span in spans:
            document = self._given[int(span.doc_id)]
            found.append(replace(span, doc_id=document.id, metadata=document.metadata))
        return found


def _converted(given: Givable) -> Any:
    """A document, or what is none, for who adds it to say so."""
    try:
        return as_document(given)
    except InputError:
        return given


def _bare(document: Document, number: str) -> Document:
    numbered = replace(document, id=number)
    return numbered if problem_of(numbered) is None else replace(numbered, metadata={})
