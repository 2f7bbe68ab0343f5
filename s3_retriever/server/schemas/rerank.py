"""Ranking texts for a question, as Cohere's, Jina's and TEI's clients ask for it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.server.schemas.base import Response

__all__ = [
    "MOST_TEXTS",
    "RankedText",
    "RerankDocument",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "RerankUsage",
    "TeiRequest",
]

MOST_TEXTS = 1000
"""Texts of one request."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class RerankDocument(_Lenient):
    """A text in an object."""

    text: str


class RerankRequest(_Lenient):
    """As Cohere (versions 1 and 2 of their interface) and Jina have it."""

    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[str | RerankDocument], Field(min_length=1, max_length=MOST_TEXTS)]
    model: str | None = None
    """Whatever it says, the resident model ranks."""
    top_n: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Most results."""
    return_documents: bool | None = None
    """Whether results bring their texts."""
    max_tokens_per_doc: Annotated[int, Field(strict=True, ge=1)] | None = None
    """What is longer is cut off there."""

    @property
    def texts(self) -> list[str]:
        """Of the documents."""
        return [d if isinstance(d, str) else d.text for d in self.documents]


class RerankResult(Response):
    """Where one of the documents stands."""

    index: int
    """Its place among those that were given."""
    relevance_score: float
    """0 to 1, comparable within one response."""
    document: RerankDocument | None = None


class RerankUsage(Response):
    """Tokens of the question and the documents."""

    total_tokens: int
    prompt_tokens: int


class RerankResponse(Response):
    """Documents, the best first; fields of both interfaces."""

    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage
    meta: dict[str, Any]


class TeiRequest(_Lenient):
    """As text-embeddings-inference has it."""

    query: Annotated[str, Field(min_length=1)]
    texts: Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    raw_scores: bool = False
    """Whether scores are the fused ones, not between 0 and 1."""
    return_text: bool = False


class RankedText(Response):
    """Where one of the texts stands."""

    index: int
    score: float
    text: str | None = None
