"""Connections to the server: some are kept, any thread takes one, none is shared at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import Connection, sql
from psycopg.rows import tuple_row

from s3_retriever.errors import IndexStorageError
from s3_retriever.forking import ForkLock
from s3_retriever.storage.postgres.faults import LostConnectionError, faults_reported, is_conflict
from s3_retriever.storage.postgres.url import StoreUrl

__all__ = ["Database", "Row", "Session", "retried"]

logger = logging.getLogger(__name__)

Row = tuple[Any, ...]
Session = Connection[Row]
T = TypeVar("T")

_KEPT = 16
"""Idle connections; more threads than this connect anew."""
_ATTEMPTS = 5
"""To commit what another transaction was in the way of."""
_CONNECT_SECONDS = "10"


class Database:
    """Runs statements in one schema of one database. Connections do not outlive a fork."""

    def __init__(self, url: StoreUrl) -> None:
        """Nothing is opened yet."""
        self.url = url
        self._idle: list[Session] = []
        self._lock = ForkLock()
        self._process = os.getpid()

    def query(self, statement: LiteralString, *values: Any) -> list[Row]:
        """Rows of a statement that only reads; asked again once if the connection had died.

        Args:
            statement: names tables as they are called in the schema.
            *values: of its placeholders.

        Raises:
            LostConnectionError: the server does not answer.
            IndexStorageError: it refuses.
        """

        def ask(session: Session) -> list[Row]:
            return session.execute(statement, values, binary=True).fetchall()

        used = False
        try:
            with self._session() as (session, used):
                return ask(session)
        except LostConnectionError:
            if not used:
                raise
        self.close()  # the others are of the same age
        with self._session() as (session, _):
            return ask(session)

    def run(self, statement: LiteralString) -> None:
        """Run a statement that cannot be part of a transaction.

        Raises:
            IndexStorageError: the server does not answer or refuses.
        """
        with self._session() as (session, _):
            session.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block, or does nothing if that raises.

        Raises:
            LostConnectionError: the server went away; whether it committed is not known.
            IndexStorageError: it refuses.
        """
        with self._session() as (session, _), session.transaction():
            yield session

    def ping(self) -> None:
        """Drop connections that died while nobody used them."""
        with self._lock:
            idle, self._idle = self._taken(), []
        for session in idle:
            try:
                session.execute("SELECT 1")
            except psycopg.Error:
                session.close()
            else:
                self._give_back(session)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._taken(), []
        for session in idle:
            session.close()

    def _taken(self) -> list[Session]:
        """The idle ones of this process; a parent's are its own to close."""
        if self._process != os.getpid():
            self._process, self._inherited, self._idle = os.getpid(), self._idle, []
        return self._idle

    @contextmanager
    def _session(self) -> Iterator[tuple[Session, bool]]:
        """A connection, and whether it was used before."""
        with faults_reported(self.url):
            with self._lock:
                idle = self._taken()
                session = idle.pop() if idle else None
            used = session is not None
            if session is None:
                session = self._connect()
            try:
                yield session, used
            except BaseException:
                if session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    session.close()
                raise
            finally:
                if not session.closed:
                    self._give_back(session)

    def _give_back(self, session: Session) -> None:
        with self._lock:
            if len(self._taken()) < _KEPT:
                self._idle.append(session)
                return
        session.close()

    def _connect(self) -> Session:
        session = psycopg.connect(
            self.url.conninfo,
            autocommit=True,
            prepare_threshold=1,
            row_factory=tuple_row,
            application_name="s3-retriever",
            connect_timeout=_CONNECT_SECONDS,
        )
        session.execute(
            # statements take milliseconds, and what an array is estimated to hold may look as if
            # compiling them were worth its tenths of a second
            sql.SQL("SET search_path TO {}, pg_catalog; SET jit TO off").format(
                sql.Identifier(self.url.schema)
            )
        )
        return session


def retried(work: Callable[[], T]) -> T:
    """What ``work`` returns, tried again while other transactions are in its way.

    Raises:
        IndexStorageError: they still are after several tries.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except psycopg.Error as e:
            if not is_conflict(e):
                raise
            logger.info("another writer was in the way (attempt %d)", attempt + 1)
    raise IndexStorageError(f"other writers were in the way {_ATTEMPTS} times; try again")
