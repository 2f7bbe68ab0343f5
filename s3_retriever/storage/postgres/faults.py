"""What goes wrong between here and a server, as errors that say what to do; no password in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief, quoted
from s3_retriever.storage.postgres.url import StoreUrl

__all__ = ["ForeignServerError", "LostConnectionError", "faults_reported", "is_conflict"]

_FOREIGN = re.compile(r'(?:connect to server|server) "([^"]+)"')
_GONE = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleSessionTimeout)


class LostConnectionError(IndexStorageError):
    """The server does not answer, or went away in the middle."""


class ForeignServerError(IndexStorageError):
    """A server that holds some of the partitions does not answer."""

    def __init__(self, server: str | None, message: str) -> None:
        """Name it, if it is known."""
        super().__init__(message)
        self.server = server


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way, so that a second try may do."""
    return isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected))


@contextmanager
def faults_reported(url: StoreUrl) -> Iterator[None]:
    """Turn what psycopg raises into the library's errors; the host is named.

    Raises:
        LostConnectionError: the server is gone, or does not take connections.
        ForeignServerError: one that holds partitions is.
        IndexStorageError: anything else that the server says, a full disk say.
    """
    try:
        yield
    except psycopg.Error as e:
        if is_conflict(e):
            raise
        raise _translated(e, url) from None  # the cause may quote the connection's parameters


def _translated(error: psycopg.Error, url: StoreUrl) -> IndexStorageError:
    said = _first_line(error)
    where = f"PostgreSQL at {url.host}"
    foreign = _FOREIGN.search(said)
    state = error.sqlstate or ""
    from_foreign = "remote SQL command" in (error.diag.context or "")
    if state == "08001" and foreign:  # said by a server, so it is alive and another one is not
        return ForeignServerError(
            foreign[1],
            f"{brief(where)} cannot reach server {quoted(foreign[1])}, which holds partitions of "
            "index "
            f"{quoted(url.schema)}; start it, or ask for what is left with partial=true in the URL",
        )
    if state.startswith("08") and error.diag.severity:  # lost between two servers
        return ForeignServerError(
            None,
            f"{brief(where)} lost a server that holds partitions of index {quoted(url.schema)}: "
            f"{said}; ask again when it is back",
        )
    if from_foreign and isinstance(error, _GONE):
        return ForeignServerError(
            None, f"{brief(where)}: a server that holds partitions is shutting down: {said}"
        )
    if isinstance(error, _GONE) or (isinstance(error, psycopg.OperationalError) and not state):
        return LostConnectionError(
            f"{brief(where)} does not answer: {said}; ask again when it is back"
        )
    if isinstance(error, (pg.DiskFull, pg.InsufficientResources)):
        return IndexStorageError(
            f"{brief(where)} has no room: {said}; the index is as it was before"
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return IndexStorageError(f"{brief(where)} refuses: {said}")
    return IndexStorageError(f"{brief(where)}: {said}")


def _first_line(error: psycopg.Error) -> str:
    """What went wrong, without the statement and its values: they may quote documents."""
    said = error.diag.message_primary or str(error)
    return " ".join(said.strip().splitlines()[:2])[:300] or type(error).__name__
