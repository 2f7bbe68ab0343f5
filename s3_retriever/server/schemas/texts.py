"""Texts that a client brings along: spans of them, and their tokens. None of them is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from s3_retriever.server.schemas.base import Count, ModeField, Request, Response

__all__ = [
    "MOST_CHARACTERS",
    "MOST_TEXTS",
    "SelectDocument",
    "SelectRequest",
    "TokenizeRequest",
    "TokenizeResponse",
]

MOST_TEXTS = 1000
"""Texts of one request."""
MOST_CHARACTERS = 1 << 20
"""Of all texts that are tokenised in one request."""


class SelectDocument(Request):
    """A text, and what of its metadata says how it is read. Ids and the rest stay with the client.

    Example:
        >>> SelectDocument(text="Die Mühle ist alt.", language="de").title is None
        True
    """

    text: str
    language: Annotated[str, Field(max_length=16)] | None = None
    """A code of two or three letters; by default told by the text."""
    title: Annotated[str, Field(max_length=100)] | None = None
    """What stands above it, unless its own headings do."""


class SelectRequest(Request):
    """Documents of any store to be cut down to the spans that a question needs."""

    question: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[SelectDocument], Field(min_length=1, max_length=MOST_TEXTS)]
    """A span's ``doc_id`` is a document's place among these, as a string: ``"0"`` is the first."""
    max_tokens: Count | None = 512
    """Budget of all spans in the model's tokens; null is no limit."""
    k: Count | None = None
    """Most spans; null is no limit."""
    mode: ModeField | None = None
    scoring: Literal["attention", "coactivation"] | None = None
    token_scores: bool = False


class TokenizeRequest(Request):
    """Texts whose tokens are counted; what spells a special token is text."""

    texts: Annotated[list[str], Field(max_length=MOST_TEXTS)]
    ids: bool = False
    """Whether the tokens' ids are wanted, too."""

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        if sum(map(len, self.texts)) > MOST_CHARACTERS:
            raise ValueError(f"the texts have more than {MOST_CHARACTERS} characters together")
        return self


class TokenizeResponse(Response):
    """Of each text, in order."""

    counts: list[int]
    """Tokens of the model's."""
    ids: list[list[int]] | None = None
    """Their numbers in its vocabulary, where they were asked for."""
