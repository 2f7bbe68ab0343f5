"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from s3_retriever.errors import InputError
from s3_retriever.server.failures import Failure, log_bug
from s3_retriever.server.schemas.base import ErrorBody, ErrorDetail

__all__ = ["begun", "error_of", "event", "event_stream", "whole"]

T = TypeVar("T")


def event(data: BaseModel | str, name: str | None = None) -> bytes:
    r"""One event.

    Args:
        data: a string without line ends, or a model, which is sent as JSON.
        name: what kind of event it is.

    Example:
        >>> event("[DONE]"), event("1", "count")
        (b'data: [DONE]\n\n', b'event: count\ndata: 1\n\n')
    """
    text = data if isinstance(data, str) else data.model_dump_json(exclude_none=True)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


def event_stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The response that sends events as they come."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def begun(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, of which the first is there: what fails before it is no stream yet."""
    try:
        first = await anext(items)
    except StopAsyncIteration:
        return _with(None, items)
    return _with([first], items)


async def _with(first: list[T] | None, items: AsyncIterator[T]) -> AsyncIterator[T]:
    for item in first or ():
        yield item
    if first is not None:
        async for item in items:
            yield item


async def whole(request: Request, pieces: AsyncGenerator[str, None]) -> str:
    """All pieces as one text, as long as somebody waits for it.

    Raises:
        Failure: the client is gone.
    """
    text = ""
    async with aclosing(pieces):
        async for piece in pieces:
            text += piece
            if await request.is_disconnected():
                raise Failure(499, "the client is gone")
    return text


def error_of(error: Exception, request_id: str) -> str:
    """What a stream that has begun says of an error, as JSON."""
    if isinstance(error, InputError):
        detail = ErrorDetail(message=str(error), type="invalid_request_error")
    else:
        log_bug(error)
        detail = ErrorDetail(
            message="the server made a mistake; its log has this request's id",
            type="server_error",
            request_id=request_id,
        )
    return json.dumps(ErrorBody(error=detail).model_dump(exclude_none=True))
