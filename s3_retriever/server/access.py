"""The door: request ids, tokens, rates and the log of what was answered."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3_retriever.server.failures import Failure, failure_response, log_bug
from s3_retriever.server.logs import current_request
from s3_retriever.server.resident import Resident
from s3_retriever.server.tokens import ANYBODY, Caller

__all__ = ["OPEN_PATHS", "Access"]

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
"""What is answered to anybody: nothing in there is a secret."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Access:
    """Gives each request an id, asks for its token, counts it, and logs how it was answered."""

    def __init__(self, app: ASGIApp, resident: Resident) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._resident = resident

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no web sockets here
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with current_request(request_id):
            try:
                failure = self._refusal(scope, headers)
                if failure is not None:
                    await failure_response(request_id, failure)(scope, receive, sending)
                else:
                    await self._app(scope, receive, sending)
            except Exception as e:  # a bug: nothing else comes up to here
                log_bug(e)
                if not status:
                    bug = Failure(500, "the server made a mistake; its log has this request's id")
                    await failure_response(request_id, bug)(scope, receive, sending)
            finally:
                self._log(scope, status, time.perf_counter() - began)

    def _refusal(self, scope: Scope, headers: Headers) -> Failure | None:
        """Why a request is not let in; one that is has its caller in its state."""
        if scope["path"] in OPEN_PATHS or scope["method"] == "OPTIONS":
            scope["state"]["caller"] = None
            return None
        if self._resident.tokens is None and self._is_of_another_page(headers):
            return Failure(403, "pages of other origins may ask only where --cors names theirs")
        caller = self._caller(headers)
        if caller is None:
            return Failure(401, "give a token: Authorization: Bearer TOKEN")
        scope["state"]["caller"] = caller
        if caller.per_minute is not None:
            wait = self._resident.rates.wait(caller.name, caller.per_minute)
            if wait:
                message = f"this token may ask {caller.per_minute} times a minute"
                return Failure(429, message, retry_after=wait)
        return None

    def _is_of_another_page(self, headers: Headers) -> bool:
        """Whether a browser asks for a page from elsewhere.

        It sends forms and plain texts unasked, so without tokens any page could add files.
        """
        origin = headers.get("origin")
        if origin is None or {origin, "*"} & set(self._resident.settings.cors):
            return False
        return origin.partition("://")[2] != headers.get("host")

    def _caller(self, headers: Headers) -> Caller | None:
        tokens = self._resident.tokens
        if tokens is None:
            return ANYBODY
        kind, _, token = headers.get("authorization", "").partition(" ")
        return tokens.caller(token.strip()) if kind.lower() == "bearer" else None

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "unknown"
        if scope["path"] in OPEN_PATHS:
            route = scope["path"]
        caller = scope["state"].get("caller")
        self._resident.metrics.answered(route, status)
        logger.info(
            "%s %s %d",
            scope["method"],
            route,
            status,
            extra={
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
                "caller": caller.name if caller else None,
            },
        )
