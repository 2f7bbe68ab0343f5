"""Bodies of requests: bounded in size, in time and in how deep JSON is nested."""

from __future__ import annotations

import asyncio
import re
from collections import deque

import numpy as np
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3_retriever.server.failures import Failure, OverloadedError, failure_response
from s3_retriever.server.settings import ServerSettings

__all__ = ["BoundedBodies", "nesting"]

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TOGETHER = 8
"""Bodies of the largest size that may be in memory together."""


def nesting(body: bytes) -> int:
    r"""How many lists and objects stand in each other in a text of JSON.

    Example:
        >>> nesting(b'{"a": [[1], "[[[["]}'), nesting(b"{}"), nesting(b"1")
        (3, 1, 0)
    """
    marks = np.frombuffer(_STRINGS.sub(b"", body), dtype=np.uint8)
    if not len(marks):
        return 0
    steps = np.isin(marks, list(b"[{")).astype(np.int64) - np.isin(marks, list(b"]}"))
    return max(0, int(steps.cumsum().max()))


class _HangUpError(Exception):
    """The client went away before all of its body came."""


class BoundedBodies:
    """Takes the whole body of a request before anybody works on it.

    A client that sends slowly occupies nothing but its connection.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._settings = settings
        self._most_together = _TOGETHER * settings.most_body_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        holding = _Holding(self)
        try:
            try:
                body = await asyncio.wait_for(
                    self._read(scope, receive, holding), self._settings.body_seconds
                )
            except _HangUpError:
                return
            except (asyncio.TimeoutError, TimeoutError):
                late = Failure(408, "the body of the request came too slowly")
                await self._refuse(scope, receive, send, late)
                return
            except Failure as failure:
                await self._refuse(scope, receive, send, failure)
                return
            waiting: deque[Message] = deque(
                [{"type": "http.request", "body": body, "more_body": False}]
            )
            del body

            async def replay() -> Message:
                return waiting.popleft() if waiting else await receive()

            await self._app(scope, replay, send)
        finally:
            holding.release()

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, failure: Failure) -> None:
        response = failure_response(scope["state"].get("request_id"), failure)
        response.headers["Connection"] = "close"  # the rest of the body is not read
        await response(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, holding: _Holding) -> bytes:
        most = self._settings.most_body_bytes
        too_large = Failure(413, f"the body of a request has at most {most} bytes")
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if re.fullmatch("[0-9]{1,18}", length) and int(length) > most:
            raise too_large
        parts = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _HangUpError
            part = message.get("body", b"")
            holding.take(len(part))
            parts += part
            if len(parts) > most:
                raise too_large
            if not message.get("more_body", False):
                break
        body = bytes(parts)
        deepest = self._settings.most_nesting
        if "json" in headers.get("content-type", "") and nesting(body) > deepest:
            raise Failure(400, f"lists and objects may stand in each other {deepest} times")
        return body

    def _take(self, n: int) -> None:
        if self._held + n > self._most_together:
            raise OverloadedError("too many large requests at a time; ask again", 2)
        self._held += n

    def _give_back(self, n: int) -> None:
        self._held -= n


class _Holding:
    """What one request has of the memory for bodies."""

    def __init__(self, of: BoundedBodies) -> None:
        self._of = of
        self._n = 0

    def take(self, n: int) -> None:
        self._of._take(n)
        self._n += n

    def release(self) -> None:
        self._of._give_back(self._n)
        self._n = 0
