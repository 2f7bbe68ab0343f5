"""What endpoints take from a request: who asks, what is resident, which namespace."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from s3_retriever.server.failures import Failure
from s3_retriever.server.resident import Resident
from s3_retriever.server.tokens import Caller

__all__ = ["CallerHere", "ResidentHere", "Writer", "allowed"]


def _resident(request: Request) -> Resident:
    return cast(Resident, request.app.state.resident)


def _caller(request: Request) -> Caller:
    return cast(Caller, request.state.caller)


def _writer(request: Request) -> Caller:
    caller = _caller(request)
    if not caller.writable:
        raise Failure(403, "this token may not change documents")
    return caller


ResidentHere = Annotated[Resident, Depends(_resident)]
"""The engine and the queues."""
CallerHere = Annotated[Caller, Depends(_caller)]
"""Whoever asks."""
Writer = Annotated[Caller, Depends(_writer)]
"""Whoever asks, and may change documents."""


def allowed(caller: Caller, wanted: str | None) -> str | None:
    """The namespace that a request works in; ``None`` is the index itself.

    Raises:
        Failure: the caller may not use it.
    """
    try:
        return caller.namespace(wanted)
    except PermissionError as e:
        raise Failure(403, str(e)) from None
