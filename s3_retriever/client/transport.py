"""Requests to one server: tokens, timeouts, and asking again where it has too much to do."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from s3_retriever.client.events import Event, EventReader
from s3_retriever.client.failures import error_of, retry_after, unreachable
from s3_retriever.errors import InputError
from s3_retriever.plain import items_of, plain_scalar
from s3_retriever.steps import adrive, drive

__all__ = ["TOKEN_VARIABLE", "Ask", "Steps", "Transport", "as_json"]

TOKEN_VARIABLE = "S3_RETRIEVER_TOKEN"  # noqa: S105 - where the secret is, not what it is
_BUSY = (429, 503)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
"""Seconds; a server that wants to be left alone for longer gets its error through."""

R = TypeVar("R")


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: Any = None
    """As JSON."""
    params: dict[str, str | int | float] | None = None
    waits: float = 0.0
    """Seconds that the server is told to wait before it answers."""


Steps = Generator[Ask, httpx.Response, R]
"""Requests, one after the other, and what comes of them."""


class Transport:
    """Sends requests to one server, for callers that wait and for those that await.

    Threads may share one, and so may event loops; each of these has connections of its own.
    """

    def __init__(
        self, url: str, token: str | SecretStr | None, timeout: float, retries: int
    ) -> None:
        """Take where the server is; nothing is sent.

        Args:
            url: ``http://`` or ``https://``, host and port, with a path if it is behind one.
            token: a bearer token; ``None`` is what the environment variable holds, if it is set.
            timeout: seconds to wait for a connection, and for each part of a response.
            retries: how often a request is sent again to a server that is too busy or not there.

        Raises:
            InputError: an argument cannot be used.
        """
        self.url = _checked_url(url)
        self.timeout = _checked_timeout(timeout)
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InputError("retries must be a whole number of at least 0")
        self.retries = retries
        self._token = _secret(token)
        self._client: httpx.Client | None = None
        self._async_clients: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, httpx.AsyncClient
        ] = weakref.WeakKeyDictionary()

    def run(self, steps: Steps[R]) -> R:
        """Send what ``steps`` asks, and wait.

        Raises:
            EndogenousError: what the server refuses, unless ``steps`` knows what to do with it.
        """
        return drive(steps, self._send)

    async def arun(self, steps: Steps[R]) -> R:
        """As :meth:`run`; the event loop goes on."""
        return await adrive(steps, self._asend)

    @contextmanager
    def events(self, ask: Ask) -> Iterator[Iterator[Event]]:
        """The events of a response; the connection is closed at the end of the block."""
        response = self._send(ask, stream=True)
        try:
            yield self._read(response)
        finally:
            response.close()

    @asynccontextmanager
    async def aevents(self, ask: Ask) -> AsyncIterator[AsyncIterator[Event]]:
        """As :meth:`events`; the event loop goes on."""
        response = await self._asend(ask, stream=True)
        try:
            yield self._aread(response)
        finally:
            await response.aclose()

    def close(self) -> None:
        """Close the connections of callers that wait; they are opened anew if need be."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of callers that wait."""
        self.close()
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _send(self, ask: Ask, *, stream: bool = False) -> httpx.Response:
        if self._client is None:
            self._client = httpx.Client(**self._options())
        for trial in range(self.retries + 1):
            request = self._request(self._client, ask)
            try:
                response = self._client.send(request, stream=stream)
                if response.is_error:
                    response.read()
            except httpx.HTTPError as e:
                pause = self._pause(e, trial)
                if pause is None:
                    raise unreachable(e, request.url) from None
            else:
                pause = self._pause(response, trial)
                if pause is None:
                    return _success(response)
            time.sleep(pause)
        raise AssertionError("the last trial has no pause")

    async def _asend(self, ask: Ask, *, stream: bool = False) -> httpx.Response:
        client = self._async_client()
        for trial in range(self.retries + 1):
            request = self._request(client, ask)
            try:
                response = await client.send(request, stream=stream)
                if response.is_error:
                    await response.aread()
            except httpx.HTTPError as e:
                pause = self._pause(e, trial)
                if pause is None:
                    raise unreachable(e, request.url) from None
            else:
                pause = self._pause(response, trial)
                if pause is None:
                    return _success(response)
            await asyncio.sleep(pause)
        raise AssertionError("the last trial has no pause")

    def _read(self, response: httpx.Response) -> Iterator[Event]:
        reader = EventReader()
        try:
            for line in response.iter_lines():
                if (event := reader.line(line)) is not None:
                    yield event
        except httpx.HTTPError as e:
            raise unreachable(e, response.url) from None

    async def _aread(self, response: httpx.Response) -> AsyncIterator[Event]:
        reader = EventReader()
        try:
            async for line in response.aiter_lines():
                if (event := reader.line(line)) is not None:
                    yield event
        except httpx.HTTPError as e:
            raise unreachable(e, response.url) from None

    def _async_client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._async_clients:
            self._async_clients[loop] = httpx.AsyncClient(**self._options())
        return self._async_clients[loop]

    def _options(self) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return {"headers": headers, "timeout": self.timeout}

    def _request(self, client: httpx.Client | httpx.AsyncClient, ask: Ask) -> httpx.Request:
        return client.build_request(
            ask.method,
            self.url + ask.path,
            content=None if ask.body is None else as_json(ask.body).encode("ascii"),
            params=ask.params,
            timeout=self.timeout + ask.waits,
        )

    def _pause(self, outcome: httpx.Response | httpx.HTTPError, trial: int) -> float | None:
        """Seconds until the request is sent again; ``None``: it is not."""
        if trial == self.retries:
            return None
        wanted = None
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in _BUSY:
                return None
            wanted = retry_after(outcome)
        elif not isinstance(outcome, (httpx.ConnectError, httpx.ConnectTimeout)):
            return None  # the server may have done what was asked
        if wanted is not None:
            return wanted if wanted <= _LONGEST_PAUSE else None
        # at random, lest all that were refused come back together
        return float(_FIRST_PAUSE * 2**trial * random.uniform(0.5, 1.0))  # noqa: S311


def _success(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise error_of(response)
    return response


def as_json(value: Any) -> str:
    """JSON, in ASCII, of a value that may hold what other libraries make, as filters do.

    Raises:
        InputError: it has no plain form.

    Example:
        >>> as_json({"year": {"$in": {1990}}})
        '{"year": {"$in": [1990]}}'
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except InputError:
        raise
    except (TypeError, ValueError, RecursionError) as e:
        raise InputError("what is asked cannot be sent as JSON") from e


def _plain(value: Any) -> Any:
    items = items_of(value)
    return plain_scalar(value) if items is None else list(items)


def _checked_url(url: str) -> str:
    if not isinstance(url, str):
        raise InputError(f"url must be a string, not a {type(url).__name__}")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise InputError("url is no address of a server") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError("url must be http://HOST:PORT or https://HOST:PORT")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise InputError("url must hold neither a user nor a query; a token is token=...")
    return str(parsed).rstrip("/")


def _checked_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise InputError("timeout must be a number of seconds above 0")
    return float(timeout)


def _secret(token: str | SecretStr | None) -> SecretStr | None:
    if token is None:
        token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None or isinstance(token, SecretStr):
        secret = token
    elif isinstance(token, str):
        secret = SecretStr(token)
    else:
        raise InputError(f"token must be a string, not a {type(token).__name__}")
    if secret is not None:
        value = secret.get_secret_value()
        if not value.isascii() or not value.isprintable() or not value.strip():
            raise InputError("token must be visible ASCII characters")  # as a header's value is
    return secret
