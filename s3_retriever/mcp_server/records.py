"""What the tools give back; their schemas are the tools' output schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.types import Span

__all__ = ["Added", "FoundSpan", "ListedDocument", "Listing", "Passage", "Searched", "briefly"]

_MOST_METADATA = 4000
"""Characters of JSON: an agent wants a title and a source, not a document's whole record."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class FoundSpan(_Record):
    """One span of a search."""

    id: str = Field(description="docid:start-end")
    doc_id: str
    start: int = Field(description="First character in the document's text.")
    end: int = Field(description="One past the last character.")
    text: str
    score: float = Field(description="Comparable within this result only.")
    metadata: dict[str, Any] = Field(description="Of the document; very long fields are left out.")

    @classmethod
    def of(cls, span: Span) -> FoundSpan:
        """The record of a span."""
        return cls(
            id=span.id,
            doc_id=span.doc_id,
            start=span.start,
            end=span.end,
            text=span.text,
            score=span.score,
            metadata=briefly(span.metadata),
        )


class Searched(_Record):
    """What ``search`` gives back."""

    spans: list[FoundSpan] = Field(description="Best first; empty if nothing was found.")
    tokens: int = Field(
        description="Of the spans' texts with an empty line between, in the model's tokens."
    )


class Passage(_Record):
    """What ``read`` gives back."""

    id: str = Field(description="docid:start-end of the text given here.")
    doc_id: str
    start: int = Field(description="First character in the document's text.")
    end: int = Field(description="One past the last character.")
    text: str
    length: int = Field(description="Characters of the whole document.")
    next_start: int | None = Field(
        description="Where to read on; null where the text asked for, or the document, ends."
    )
    metadata: dict[str, Any] = Field(description="Of the document; very long fields are left out.")


class ListedDocument(_Record):
    """One document of a listing."""

    id: str
    tokens: int
    metadata: dict[str, Any] = Field(description="Very long fields are left out.")


class Listing(_Record):
    """What ``list`` gives back."""

    documents: list[ListedDocument] = Field(description="In order of addition.")
    total: int = Field(description="Documents that pass the filter, on all pages.")
    next: str = Field(description="Give it as `after` for the next page; empty on the last one.")


class Added(_Record):
    """What ``add`` gives back."""

    id: str
    status: Literal["added", "updated", "unchanged"]
    tokens: int = Field(description="Read by the model: none if the text was there already.")


def briefly(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of metadata, in order, that fit into a record; the others are left out.

    Example:
        >>> briefly({"title": "Bread", "log": "x" * 5000, "year": 1911})
        {'title': 'Bread', 'year': 1911}
    """
    kept, left = {}, _MOST_METADATA
    for name, value in metadata.items():
        size = len(json.dumps({name: value}))
        if size <= left:
            kept[name] = value
            left -= size
    return kept
