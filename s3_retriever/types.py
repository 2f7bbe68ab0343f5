"""The frozen records that travel between the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = [
    "Answer",
    "CodedDocument",
    "Document",
    "Metadata",
    "Span",
    "TokenScore",
    "Tokens",
]

Metadata = Mapping[str, Any]
"""JSON-like values (string, number, boolean, None, lists of these) by field name."""

_EMPTY: Metadata = MappingProxyType({})


@dataclass(frozen=True)
class Document:
    """A text to be read, with the id it is kept under.

    Example:
        >>> Document("readme", "Hello.", {"lang": "en"}).text
        'Hello.'
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=lambda: _EMPTY)


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
class CodedDocument:
    """A document and the sparse code of each of its tokens."""

    document: Document
    tokens: Tokens
    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)``, uint16 or uint32, strongest latent first."""
    activations: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` uint8; times the hookpoint's ``activation_scale``."""


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
    scores: Mapping[str, float]
    """The score of each leg that proposed the span: ``features``, ``bm25``, ``lead_tail``."""
    rank: int
    """0 for the best span of a result."""
    metadata: Metadata = field(default_factory=lambda: _EMPTY)
    tokens: tuple[TokenScore, ...] = ()
    """Scores of the span's tokens, when they were asked for."""

    @property
    def id(self) -> str:
        """``docid:start-end``."""
        return f"{self.doc_id}:{self.start}-{self.end}"

    def _repr_html_(self) -> str:
        from s3_retriever.explain.html import span_html  # it imports this module

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
    """What the generator said, and the spans it had in front of it.

    ``citations`` are the spans whose ``[number]`` the answer quotes; where it quotes none,
    the spans that share words with the answer.
    """

    text: str
    spans: tuple[Span, ...]
    citations: tuple[Span, ...]
