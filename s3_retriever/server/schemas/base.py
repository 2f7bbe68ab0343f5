"""What all requests and responses share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "MOST_OPERANDS",
    "Count",
    "ErrorBody",
    "ErrorDetail",
    "FilterField",
    "ModeField",
    "Namespace",
    "Request",
    "Response",
]


class Request(BaseModel):
    """A request of this server's own: an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Response(BaseModel):
    """A response; clients leave out what they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


MOST_OPERANDS = 10_000
"""Values in a filter: each is compared with every document."""

Count = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
"""A whole number of at least 1."""
ModeField = Annotated[str, Field(max_length=64)]
"""A preset's name: ``hybrid``, ``fast``, ``features``, ``bm25``, or one of the server's own."""
Namespace = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
"""1 to 64 of a-z, 0-9, ``-`` and ``_``, with a letter or digit first."""


def _bounded(condition: dict[str, Any]) -> dict[str, Any]:
    todo: list[Any] = [condition]
    n = 0
    while todo:
        part = todo.pop()
        inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        n += len(inside)
        if n > MOST_OPERANDS:
            raise ValueError(f"a filter holds at most {MOST_OPERANDS} values")
        todo.extend(inside)
    return condition


FilterField = Annotated[
    dict[str, Any],
    AfterValidator(_bounded),
    Field(examples=[{"year": {"$gte": 1990}, "lang": "en"}]),
]
"""A condition on documents' metadata, in the words of :mod:`s3_retriever.search.filters`."""


class ErrorDetail(Response):
    """What went wrong, without the text that it went wrong with."""

    message: str
    """What is wrong and what to do."""
    type: str
    """Its kind: ``invalid_request_error``, ``authentication_error``, ``permission_error``,
    ``not_found_error``, ``rate_limit_error``, ``overloaded_error``, ``locked_error`` or
    ``server_error``."""
    code: str | None = None
    """A narrower kind where there is one, e.g. ``model_not_found``."""
    param: str | None = None
    """The field that is wrong."""
    request_id: str | None = None
    """As in the header ``X-Request-ID`` and in the server's log."""


class ErrorBody(Response):
    """The body of every response that is no success.

    Example:
        >>> ErrorBody(error=ErrorDetail(message="no", type="server_error")).error.message
        'no'
    """

    error: ErrorDetail
