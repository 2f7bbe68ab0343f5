"""The frozen records that travel between the stages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from s3_retriever.html import span_html

__all__ = [
    "AddReport",
    "Answer",
    "CompressedContext",
    "Document",
    "EncodedDocument",
    "FailedDocument",
    "Metadata",
    "Span",
    "SpanRef",
    "TextBounds",
    "TokenBatch",
    "TokenRange",
    "TokenScore",
    "Tokens",
]

Metadata = Mapping[str, Any]
"""JSON-like values (string, number, boolean, None, lists of these) by field name."""


@dataclass(frozen=True)
class Document:
    """A text to be read, with the id it is kept under.

    Example:
        >>> Document("readme", "Hello.", {"lang": "en"}).text
        'Hello.'
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Tokens:
    """A tokenised text; the three arrays have one entry a token."""

    ids: np.ndarray
    """int32 vocabulary ids."""
    starts: np.ndarray
    """uint32: first character of each token in the text."""
    ends: np.ndarray
    """uint32: one past its last character."""

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)


@dataclass(frozen=True)
class SpanRef:
    """A range of characters of a document: the name of a span, without its text.

    Example:
        >>> SpanRef("readme", 0, 6).overlaps(SpanRef("readme", 5, 9))
        True
    """

    doc_id: str
    start: int
    """First character, counted in Unicode code points of the document's text."""
    end: int
    """One past the last character."""

    @property
    def id(self) -> str:
        """``docid:start-end``."""
        return f"{self.doc_id}:{self.start}-{self.end}"

    def overlaps(self, other: SpanRef) -> bool:
        """Whether both hold a common character."""
        return self.doc_id == other.doc_id and self.start < other.end and other.start < self.end

    def holds(self, other: SpanRef) -> bool:
        """Whether ``other`` lies in it."""
        return self.doc_id == other.doc_id and self.start <= other.start and other.end <= self.end


@dataclass(frozen=True)
class TokenRange:
    """Consecutive tokens of one document, counted from its first.

    Example:
        >>> len(TokenRange("readme", 64, 100))
        36
    """

    doc_id: str
    first: int
    last: int
    """One past the last token."""

    def __len__(self) -> int:
        """Number of tokens."""
        return self.last - self.first


@dataclass(frozen=True)
class TokenBatch:
    """The codes and places of the tokens of some ranges, one after the other."""

    ranges: tuple[TokenRange, ...]
    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)``, uint16 or uint32, strongest latent first."""
    activations: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` uint8; times the hookpoint's ``activation_scale``."""
    starts: np.ndarray
    """``(n_tokens,)`` uint32: first character of each token in its document."""
    ends: np.ndarray
    """``(n_tokens,)`` uint32: one past its last character."""

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.starts)

    @cached_property
    def rows_by_document(self) -> Mapping[str, Sequence[slice]]:
        """Where the tokens of each document's ranges stand in the arrays."""
        found: dict[str, list[slice]] = {}
        for tokens, rows in self.parts():
            found.setdefault(tokens.doc_id, []).append(rows)
        return found

    def parts(self) -> Iterator[tuple[TokenRange, slice]]:
        """Each range and where its tokens stand in the arrays."""
        at = 0
        for tokens in self.ranges:
            yield tokens, slice(at, at + len(tokens))
            at += len(tokens)


@dataclass(frozen=True)
class TextBounds:
    """Where a text's sentences and paragraphs begin and end, in order, in characters.

    Example:
        >>> bounds = TextBounds(np.array([[0, 9], [10, 20]]), np.array([[0, 20]]))
        >>> bounds.sentences_over(8, 11), bounds.paragraph_of(12)
        ([(0, 9), (10, 20)], 0)
    """

    sentences: np.ndarray
    """``(n_sentences, 2)`` uint32: first character and one past the last."""
    paragraphs: np.ndarray
    """``(n_paragraphs, 2)`` uint32; every sentence lies in one."""

    def sentences_over(self, start: int, end: int) -> list[tuple[int, int]]:
        """The sentences that share a character with ``start`` to ``end``."""
        # numpy would copy all bounds first, to compare them as another type
        first = bisect_right(self.sentences[:, 1], start)
        last = bisect_left(self.sentences[:, 0], end, first)
        return [(a, b) for a, b in self.sentences[first:last].tolist()]

    def paragraph_of(self, position: int) -> int:
        """Number of the last paragraph that begins at or before a character, or -1."""
        return bisect_right(self.paragraphs[:, 0], position) - 1


@dataclass(frozen=True)
class EncodedDocument:
    """A document, where its tokens and sentences stand, and the tokens' sparse codes."""

    document: Document
    starts: np.ndarray
    """``(n_tokens,)`` uint32: first character of each token."""
    ends: np.ndarray
    """``(n_tokens,)`` uint32: one past its last character."""
    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)``, uint16 or uint32, strongest latent first."""
    activations: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` uint8; times the hookpoint's ``activation_scale``."""
    bounds: TextBounds

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.starts)


@dataclass(frozen=True)
class FailedDocument:
    """A document that could not be read, in place of its codes."""

    doc_id: str
    reason: str
    """For people; holds nothing of the text."""


@dataclass(frozen=True)
class TokenScore:
    """The score of one token of a document; ``start`` and ``end`` are character offsets."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Span:
    """A piece of a document: ``document.text[start:end] == text``, always.

    Example:
        >>> span = Span("readme", 0, 6, "Hello.", score=1.0, scores={"features": 1.0}, rank=0)
        >>> span.id
        'readme:0-6'
    """

    doc_id: str
    start: int
    """First character, counted in Unicode code points of the document's text."""
    end: int
    """One past the last character."""
    text: str
    score: float
    """The score that ordered the spans (higher is better; comparable within one result only)."""
    scores: Mapping[str, float] = field(hash=False)
    """The score of each leg that proposed the span: ``features``, ``bm25``, ``lead_tail``."""
    rank: int
    """0 for the best span of a result."""
    metadata: Metadata = field(default_factory=dict, hash=False)
    tokens: tuple[TokenScore, ...] = ()
    """Scores of the span's tokens, when they were asked for."""

    @property
    def ref(self) -> SpanRef:
        """Where it stands."""
        return SpanRef(self.doc_id, self.start, self.end)

    @property
    def id(self) -> str:
        """``docid:start-end``."""
        return self.ref.id

    def _repr_html_(self) -> str:
        return span_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The span as plain JSON values (the records of ``search --json``)."""
        record: dict[str, Any] = {
            "id": self.id,
            "doc_id": self.doc_id,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "score": self.score,
            "scores": dict(self.scores),
            "rank": self.rank,
            "metadata": dict(self.metadata),
        }
        if self.tokens:
            record["tokens"] = [
                {"start": t.start, "end": t.end, "score": t.score} for t in self.tokens
            ]
        return record


@dataclass(frozen=True)
class Answer:
    """What the model said, and the spans it had in front of it.

    ``citations`` are the spans whose ``[number]`` the answer quotes; where it quotes none,
    the spans that share words with the answer.
    """

    text: str
    spans: tuple[Span, ...]
    citations: tuple[Span, ...]


@dataclass(frozen=True)
class AddReport:
    """What became of the documents of one ``add``."""

    added: tuple[str, ...] = ()
    """Ids that were new."""
    updated: tuple[str, ...] = ()
    """Ids whose text or metadata changed."""
    unchanged: tuple[str, ...] = ()
    """Ids whose text and metadata were in the index already; nothing was read."""
    skipped: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Reason by id (or by position, for a document without a usable id)."""
    tokens_scanned: int = 0
    """Tokens the model read."""
    ids: tuple[str | None, ...] = ()
    """The id of each document that was given, in order; ``None`` for one that was left out."""


@dataclass(frozen=True)
class CompressedContext:
    """The parts of a text that a question needs, in the text's order."""

    text: str
    """The spans; where something is left out between two, a line with three dots."""
    spans: tuple[Span, ...]
    """In the order of the text; ``rank`` tells their order of merit."""
    n_tokens: int
    """Tokens of :attr:`text`, in the model's count."""
