"""Logs as lines of JSON, each with the id of the request it belongs to; never a document's text."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import TextIO

__all__ = ["JsonLines", "current_request", "log_to"]

_REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
_FIELDS = ("method", "route", "status", "milliseconds", "caller", "error", "at")


@contextmanager
def current_request(request_id: str) -> Iterator[None]:
    """What is logged meanwhile belongs to this request."""
    token = _REQUEST.set(request_id)
    try:
        yield
    finally:
        _REQUEST.reset(token)


class JsonLines(logging.Formatter):
    """A record as one line of JSON.

    Example:
        >>> record = logging.LogRecord("x", logging.INFO, "", 0, "Started %s", ("now",), None)
        >>> json.loads(JsonLines().format(record))["message"]
        'Started now'
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line; of an exception only its type, since its message may quote a document."""
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": _REQUEST.get(),
            **{name: getattr(record, name) for name in _FIELDS if hasattr(record, name)},
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps({name: value for name, value in line.items() if value is not None})


def log_to(stream: TextIO | None = None) -> None:
    """Write what this library and its web server report to ``stream``, in place of other handlers.

    Args:
        stream: by default standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("s3_retriever", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    # its lines quote paths, in which ids stand; Access logs the routes
    logging.getLogger("uvicorn.access").disabled = True
