"""Questions and the spans that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from s3_retriever.server.schemas.base import (
    Count,
    FilterField,
    ModeField,
    Namespace,
    Request,
    Response,
)
from s3_retriever.types import Span, SpanRef, TokenScore

__all__ = [
    "MOST_REFS",
    "Asking",
    "CompressRequest",
    "CompressResponse",
    "ExplainRequest",
    "ExplainResponse",
    "FeatureBody",
    "FeatureExample",
    "PlaceBody",
    "SearchRequest",
    "SearchResponse",
    "SimilaritiesRequest",
    "SimilaritiesResponse",
    "SpanBody",
    "TokenScoreBody",
]

MOST_REFS = 256
"""Places that are compared with each other in one request."""


class Asking(Request):
    """What every question says."""

    question: Annotated[str, Field(min_length=1)]
    """Plain text."""
    k: Count | None = None
    """Most spans; null is no limit."""
    filter: FilterField | None = None
    """Condition on the documents' metadata."""
    mode: ModeField | None = None
    """``hybrid``, ``fast``, ``features`` or ``bm25``; null is what the profile recommends."""
    scoring: Literal["attention", "coactivation"] | None = None
    """How features score a token; null is the profile's better way."""
    namespace: Namespace | None = None
    """An index of its own; null is the token's first one, or the server's index."""


class SearchRequest(Asking):
    """A question.

    Example:
        >>> SearchRequest(question="When was the mill built?").max_tokens
        512
    """

    max_tokens: Count | None = 512
    """Budget of the spans in the model's tokens; null is no limit."""
    token_scores: bool = False
    """Whether each span brings the scores of its tokens."""


class TokenScoreBody(Response):
    """The score of one token; offsets count characters of the document."""

    start: int
    end: int
    score: float


class SpanBody(Response):
    """A piece of a document."""

    id: str
    """``docid:start-end``."""
    doc_id: str
    start: int
    """First character, counted in Unicode code points of the document's text."""
    end: int
    """One past the last character."""
    text: str
    score: float
    """Orders the spans of one response; higher is better."""
    scores: dict[str, float]
    """The score of each leg that proposed it."""
    rank: int
    """0 for the best."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Of its document."""
    tokens: list[TokenScoreBody] = Field(default_factory=list)
    """Where they were asked for."""

    @classmethod
    def of(cls, span: Span) -> SpanBody:
        """A span as it is sent.

        Example:
            >>> SpanBody.of(Span("a", 0, 2, "Hi", score=1.0, scores={}, rank=0)).id
            'a:0-2'
        """
        return cls.model_validate(span.to_dict())

    def span(self) -> Span:
        """The span as the library knows it."""
        tokens = tuple(TokenScore(t.start, t.end, t.score) for t in self.tokens)
        return Span(
            self.doc_id,
            self.start,
            self.end,
            self.text,
            self.score,
            self.scores,
            self.rank,
            self.metadata,
            tokens,
        )


class SearchResponse(Response):
    """Spans, best first."""

    spans: list[SpanBody]
    highest_score: float
    """The score of a span that every leg of the mode finds best: ``score`` over it is relative."""
    milliseconds: float
    """From the question's arrival to its spans, waiting included."""


class CompressRequest(Request):
    """A long text to be cut down to what a question needs."""

    question: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)]
    max_tokens: Count
    """Budget of the result in the model's tokens."""
    mode: ModeField | None = None
    scoring: Literal["attention", "coactivation"] | None = None
    token_scores: bool = False


class CompressResponse(Response):
    """The parts that are kept, in the text's order."""

    text: str
    spans: list[SpanBody]
    """Offsets in the text that was given."""
    n_tokens: int


class PlaceBody(Request):
    """A range of characters of a document."""

    doc_id: str
    start: Annotated[int, Field(strict=True, ge=0, le=2**40)]
    end: Annotated[int, Field(strict=True, ge=0, le=2**40)]

    def ref(self) -> SpanRef:
        """The place as the library knows it."""
        return SpanRef(self.doc_id, self.start, self.end)


class ExplainRequest(PlaceBody):
    """Why a piece of an indexed document is looked at for a question."""

    question: Annotated[str, Field(min_length=1)]
    namespace: Namespace | None = None


class FeatureExample(Response):
    """A place elsewhere in the index where a feature fires."""

    doc_id: str
    start: int
    end: int
    text: str


class FeatureBody(Response):
    """A latent of an autoencoder that the question's heads looked for."""

    layer: int
    latent: int
    contribution: float
    tokens: list[str]
    examples: list[FeatureExample]


class ExplainResponse(Response):
    """What made the model look there."""

    span: SpanBody
    tokens: list[TokenScoreBody]
    """Attention over the document's average, less the content-free question's."""
    heads: dict[str, float]
    """``layer.head``: its mean attention to the span, where 1 is the document's average."""
    features: list[FeatureBody]
    legs: Mapping[str, float]


class SimilaritiesRequest(Request):
    """Places that are compared with each other by the model's features in them."""

    places: Annotated[list[PlaceBody], Field(max_length=MOST_REFS)]
    namespace: Namespace | None = None


class SimilaritiesResponse(Response):
    """Cosines from 0 to 1, a row a place."""

    similarities: list[list[float]]
