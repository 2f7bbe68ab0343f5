"""Answers written from the index, and the events in which they are streamed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from s3_retriever.server.schemas.base import Count, Response
from s3_retriever.server.schemas.search import Asking, SpanBody

__all__ = ["AnswerRequest", "AnswerResponse", "CitationBody", "SpansEvent", "TextEvent"]


class AnswerRequest(Asking):
    """A question that the model answers from what is found."""

    max_tokens: Count = 512
    """Budget of the evidence."""
    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=8192)] = 128
    """Longest answer."""
    stream: bool = True
    """As server-sent events: ``spans``, then ``text`` for each piece, then ``done``; or, after
    the answer began, ``error``. Else one JSON object, that of ``done``."""


class SpansEvent(Response):
    """What the model has in front of it, in the order of the numbers it may quote from 1 on."""

    spans: list[SpanBody]


class TextEvent(Response):
    """A piece of the answer."""

    text: str


class CitationBody(Response):
    """A span that the answer rests on."""

    number: int
    """Its place among the spans, from 1 on: ``[1]`` in the answer."""
    span: SpanBody


class AnswerResponse(Response):
    """The whole answer."""

    text: str
    spans: list[SpanBody]
    citations: list[CitationBody]
