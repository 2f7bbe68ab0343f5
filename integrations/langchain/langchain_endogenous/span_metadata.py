"""What a found span says of itself, in the metadata of a LangChain document."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from s3_retriever.quoting import quoted
from s3_retriever.types import Span, SpanRef

__all__ = ["SCORE_KIND", "SpanMetadata"]

SCORE_KIND = "sum of relative scores"
"""What ``span_score`` is: it orders the documents of one result, and says no more."""

_DISPLACED = "span_displaced"
_OF_THE_QUESTION = frozenset({"span_score", "span_scores", "span_rank"})
_RENAMED = {
    "doc_id": "span_doc_id",
    "start_index": "span_start",
    "end_index": "span_end",
    "score": "span_score",
    "scores": "span_scores",
    "rank": "span_rank",
    "score_kind": "span_score_kind",
}
"""Names of release 0.1: some of them are LangChain's own (``ParentDocumentRetriever`` keeps an id
in ``doc_id``, text splitters a place in ``start_index``), and stood in the way there."""


class SpanMetadata(dict[str, Any]):
    """A dict of plain values: the document's own, and the span's under names with ``span_``.

    It is more than a dict in two things only, and copies and pickles of it are plain dicts. The
    metadata of two spans are equal if all but ranks and scores are, so that chains which ask
    several questions (``MultiQueryRetriever``) leave out what is there already. And names of
    release 0.1 that no field of the document has still give their values, with a warning.

    Example:
        >>> span = Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"doc_id": "parent"})
        >>> metadata = SpanMetadata.of(span)
        >>> metadata["span_doc_id"], metadata["span_start"], metadata["doc_id"]
        ('a', 5, 'parent')
        >>> metadata == SpanMetadata.of(Span("a", 5, 8, "fox", 0.1, {}, 7, {"doc_id": "parent"}))
        True
    """

    @classmethod
    def of(cls, span: Span) -> SpanMetadata:
        """A span's metadata: see :func:`~langchain_endogenous.documents.from_span`."""
        own: dict[str, Any] = {
            "span_id": span.id,
            "span_doc_id": span.doc_id,
            "span_start": span.start,
            "span_end": span.end,
            "span_score": span.score,
            "span_scores": dict(span.scores),
            "span_rank": span.rank,
            "span_score_kind": SCORE_KIND,
        }
        displaced = {k: v for k, v in span.metadata.items() if k in own or k == _DISPLACED}
        if displaced:
            own[_DISPLACED] = displaced
        return cls({**span.metadata, **own})

    @property
    def ref(self) -> SpanRef:
        """Where the span stands."""
        return SpanRef(self["span_doc_id"], self["span_start"], self["span_end"])

    def __missing__(self, name: str) -> Any:
        """The value of a name of release 0.1."""
        if name not in _RENAMED:
            raise KeyError(name)
        warnings.warn(
            f"metadata[{quoted(name)}] is metadata[{quoted(_RENAMED[name])}] now",
            DeprecationWarning,
            stacklevel=2,
        )
        return self[_RENAMED[name]]

    def __eq__(self, other: object) -> bool:
        """Whether the same is said of the same place, whatever a question made of it."""
        if not isinstance(other, SpanMetadata):
            return dict.__eq__(self, other)
        return _lasting(self) == _lasting(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as any dict

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def _lasting(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in _OF_THE_QUESTION}
