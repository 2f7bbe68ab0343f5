"""What a client is told when something cannot be done: always JSON, never the text it sent."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from s3_retriever.errors import EndogenousError, IndexLockedError, InputError
from s3_retriever.quoting import brief, one_line
from s3_retriever.server.schemas.base import ErrorBody, ErrorDetail

__all__ = ["Failure", "OverloadedError", "failure_response", "handle_failures", "log_bug"]

logger = logging.getLogger(__name__)

_LONGEST = 1000
"""Characters of a message, which may quote names that were sent."""
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "locked_error",
    429: "rate_limit_error",
}


class Failure(Exception):  # noqa: N818 - an answer, not a mistake of the program
    """An answer that is no success.

    Example:
        >>> Failure(404, "there is no such document").status
        404
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            status: of HTTP.
            message: for people; without what they sent.
            kind: see :class:`~s3_retriever.server.schemas.base.ErrorDetail`; by default the
                status's.
            code: a narrower kind.
            param: the field that is wrong.
            retry_after: seconds after which to try again.
        """
        super().__init__(message)
        self.status = status
        self.kind = kind or _TYPES.get(
            status, "invalid_request_error" if status < 500 else "server_error"
        )
        self.code = code
        self.param = param
        self.retry_after = retry_after


class OverloadedError(Failure):
    """More is asked than can wait."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        """Say what is full, and when to try again (seconds)."""
        super().__init__(429, message, kind="overloaded_error", retry_after=retry_after)


def failure_response(request_id: str | None, failure: Failure) -> JSONResponse:
    """The response that says so.

    Args:
        request_id: of the request, if it has one yet.
        failure: what is wrong.
    """
    headers: dict[str, str] = {}
    if failure.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after)))
    if failure.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    detail = ErrorDetail(
        message=one_line(failure, _LONGEST),
        type=failure.kind,
        code=failure.code,
        param=failure.param,
        request_id=request_id,
    )
    body = ErrorBody(error=detail).model_dump(mode="json")
    return JSONResponse(body, status_code=failure.status, headers=headers)


def failure_of(error: Exception) -> Failure:
    """What a client is told about an error of the library's."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, InputError):
        return Failure(400, str(error))
    if isinstance(error, IndexLockedError):
        message = "the index is being written by another process; try again"
        return Failure(409, message, retry_after=5)
    log_bug(error)  # a damaged index, a model that is gone: paths are for the log alone
    return Failure(503 if isinstance(error, EndogenousError) else 500, _public(error))


def _public(error: Exception) -> str:
    if isinstance(error, EndogenousError):
        return "the index or the model cannot be used at the moment; the server's log says why"
    return "the server made a mistake; its log has this request's id"


def log_bug(error: BaseException) -> None:
    """Log where an error came from; its message may quote a document, so only a library's is told.

    Args:
        error: with its traceback.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    message = str(error) if isinstance(error, EndogenousError) else ""
    logger.error(
        "%s %s", type(error).__name__, message, extra={"error": type(error).__name__, "at": where}
    )


def handle_failures(app: FastAPI) -> None:
    """Make ``app`` answer every error as :class:`ErrorBody`."""

    def identified(request: Request) -> str | None:
        found: str | None = getattr(request.state, "request_id", None)
        return found

    @app.exception_handler(Failure)
    async def failed(request: Request, error: Failure) -> JSONResponse:
        return failure_response(identified(request), error)

    @app.exception_handler(EndogenousError)
    async def refused(request: Request, error: EndogenousError) -> JSONResponse:
        return failure_response(identified(request), failure_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return failure_response(identified(request), _of_validation(error))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        response = failure_response(
            identified(request), Failure(error.status_code, str(error.detail))
        )
        response.headers.update(error.headers or {})
        return response


def _of_validation(error: RequestValidationError) -> Failure:
    """The first mistake: where it is and what is wrong, without the value."""
    problems = error.errors()
    first: Mapping[str, object] = problems[0] if problems else {}
    location = first.get("loc", ())
    parts = [brief(p) for p in location] if isinstance(location, (list, tuple)) else []
    where = ".".join(parts[1:] or parts)
    kind = str(first.get("type", ""))
    message = "it is not JSON" if kind == "json_invalid" else str(first.get("msg", "it is wrong"))
    return Failure(422, f"{where or 'body'}: {message}", param=where or None)
