"""A server's refusals as the errors that an engine raises."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time

import httpx
from pydantic import ValidationError

from s3_retriever.errors import EndogenousError, IndexLockedError, InputError, ServerError
from s3_retriever.server.schemas.base import ErrorBody, ErrorDetail

__all__ = ["error_of", "error_of_event", "retry_after", "unreachable"]

_HINTS = {
    401: "give its token: token=... or the environment variable S3_RETRIEVER_TOKEN",
    429: "it has too much to do; ask again later",
    503: "it cannot answer now; ask again later",
}


def error_of(response: httpx.Response) -> EndogenousError:
    """What a response that is no success says; its body has been read."""
    status = response.status_code
    detail = _detail(response)
    request_id = response.headers.get("x-request-id")
    if detail is None:
        text = f"{_place(response.url)} answers {status}, not as a server of this library would"
        return ServerError(text, status=status, request_id=request_id)
    if status in (400, 404, 413, 422):
        return InputError(detail.message)
    if status == 409:
        return IndexLockedError(detail.message)
    hint = f"; {_HINTS[status]}" if status in _HINTS else ""
    message = f"the server at {_place(response.url)} refuses ({status}): {detail.message}{hint}"
    return ServerError(message, status=status, request_id=request_id)


def error_of_event(data: str) -> EndogenousError:
    """What a stream says that ends in an error.

    Args:
        data: JSON.

    Example:
        >>> error_of_event('{"error": {"message": "too long", "type": "invalid_request_error"}}')
        InputError('too long')
    """
    try:
        detail = ErrorBody.model_validate_json(data).error
    except ValidationError:
        return ServerError("the server sent something that is no answer")
    if detail.type == "invalid_request_error":
        return InputError(detail.message)
    return ServerError(f"the answer broke off: {detail.message}", request_id=detail.request_id)


def unreachable(error: httpx.HTTPError, url: httpx.URL) -> ServerError:
    """What to say where there was no response."""
    if isinstance(error, httpx.TimeoutException):
        what = "does not answer in time: give a longer timeout, or ask later"
    elif isinstance(error, httpx.ConnectError):
        what = "cannot be reached: is it running, and is the address right?"
    else:
        what = "broke the connection off"
    return ServerError(f"the server at {_place(url)} {what} ({type(error).__name__})")


def retry_after(response: httpx.Response) -> float | None:
    """Seconds after which a response says to ask again.

    Example:
        >>> retry_after(httpx.Response(429, headers={"Retry-After": "3"}))
        3.0
    """
    given = response.headers.get("retry-after", "")
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    except (ValueError, OverflowError):
        return None


def _detail(response: httpx.Response) -> ErrorDetail | None:
    try:
        return ErrorBody.model_validate_json(response.content).error
    except ValidationError:
        return None


def _place(url: httpx.URL) -> str:
    """Where the server is, without what was asked there."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
