"""LangChain documents to the engine's, and spans to LangChain documents."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from langchain_core.documents import Document as LangChainDocument

from langchain_endogenous.span_metadata import SpanMetadata
from s3_retriever.errors import InputError
from s3_retriever.types import Document, Span, SpanRef

__all__ = ["document_id", "from_document", "from_span", "range_of", "to_document"]


def to_document(document: LangChainDocument) -> Document:
    """The engine's form of a LangChain document, under :func:`document_id`.

    Raises:
        InputError: it is no document.
    """
    if not isinstance(document, LangChainDocument):
        raise InputError(f"it is a {type(document).__name__}, not a LangChain document")
    return Document(document_id(document), document.page_content, document.metadata)


def from_document(document: Document) -> LangChainDocument:
    """A whole document, as it was added and under its id."""
    return LangChainDocument(document.text, id=document.id, metadata=dict(document.metadata))


def document_id(document: LangChainDocument) -> str:
    """``document.id``, or one made from what the document holds.

    The made one is a digest of text and metadata, after ``metadata["source"]`` and a ``#`` where
    there is a source. The source alone would not do: loaders and splitters give the same one to
    many documents, which would then replace each other. So a document without an id that is added
    again is recognised, and one whose text has changed is a new document: give ids to documents
    that are to be replaced.

    Example:
        >>> document_id(LangChainDocument("Hello.", id="greeting"))
        'greeting'
        >>> document_id(LangChainDocument("Hello.", metadata={"source": "a.txt"}))
        'a.txt#8ab0b3ada4c6'
    """
    if document.id:
        return document.id
    fields = sorted(map(_field, document.metadata.items()))
    contents = "\n".join([*fields, document.page_content])
    digest = hashlib.sha256(contents.encode("utf-8", "surrogatepass")).hexdigest()
    source = document.metadata.get("source")
    return f"{source}#{digest[:12]}" if source and isinstance(source, str) else digest[:16]


def _field(item: tuple[Any, Any]) -> str:
    """A field of the metadata as text, whatever it holds: an id must not depend on JSON's rules."""
    try:
        return json.dumps(item, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys that are no strings, circles, depth
        return ": ".join((repr(item[0]), type(item[1]).__name__))


def from_span(span: Span) -> LangChainDocument:
    """A span as a LangChain document.

    Its metadata are the source document's, and ``span_id``, ``span_doc_id``, ``span_start``,
    ``span_end``, ``span_score``, ``span_scores`` (by leg), ``span_rank`` and ``span_score_kind``.
    Where the source document has a field of one of these names, the span's value takes its place
    and the document's is kept in ``metadata["span_displaced"]``.

    Example:
        >>> span = Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"span_id": 9, "lang": "en"})
        >>> metadata = from_span(span).metadata
        >>> metadata["lang"], metadata["span_score"], metadata["span_displaced"]
        ('en', 0.5, {'span_id': 9})
    """
    document = LangChainDocument(page_content=span.text, id=span.id)
    document.metadata = SpanMetadata.of(span)  # the constructor would make a plain dict of it
    return document


def range_of(document: LangChainDocument) -> SpanRef:
    """Where a span or a whole document that was found stands."""
    if isinstance(document.metadata, SpanMetadata):
        return document.metadata.ref
    return SpanRef(document.id or "", 0, len(document.page_content))
