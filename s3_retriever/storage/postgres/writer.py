"""Commits: one transaction each, as many at once as there are writers.

A writer holds the rows of the documents that it writes, by their keys in ascending order, so that
two that write the same document go one after the other and never wait for each other in a ring.
What makes a commit is one row on the first server, written last: whatever of it lies on other
servers is nothing to a reader before that, and for ever if it never comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.storage.postgres.codec import document_key
from s3_retriever.storage.postgres.connection import Session, retried
from s3_retriever.storage.postgres.faults import LostConnectionError
from s3_retriever.storage.postgres.records import metadata_of
from s3_retriever.storage.postgres.rows import copy_rows, document_rows
from s3_retriever.storage.postgres.state import THERE, State, state_in
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.types import EncodedDocument, Metadata

__all__ = ["GATE", "Change", "Live", "Writer"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

GATE = 0x5333_0002
"""First half of the advisory lock that every commit shares, and that settling holds alone."""


@dataclass(frozen=True)
class Live:
    """A document that is there, as a writer who holds its row sees it."""

    part: int
    number: int
    hash: bytes
    metadata: Metadata
    n_tokens: int

    @property
    def n_blocks(self) -> int:
        """Blocks of the document."""
        return -(-self.n_tokens // BLOCK_TOKENS)


@dataclass(frozen=True)
class Change:
    """What a commit does, decided while it holds the documents' rows."""

    add: Sequence[EncodedDocument] = ()
    """A document whose id is there replaces it."""
    delete: Iterable[str] = ()
    """Ids."""


class Writer:
    """Commits changes to one index."""

    def __init__(self, tables: Tables) -> None:
        """Any thread and process may have one."""
        self._tables = tables

    def commit(
        self, ids: Iterable[str], decide: Callable[[Mapping[str, Live], State], tuple[Change, T]]
    ) -> T:
        """Change documents in one transaction.

        Args:
            ids: of every document that may be changed; nobody else changes them meanwhile.
            decide: from those that are there and the state they are there in, what to do, and
                what to return. It may be called again if another transaction was in the way.

        Raises:
            LostConnectionError: the server went away, and whether it committed is not known.
            IndexStorageError: nothing was changed.
        """
        keys = sorted({document_key(doc_id): doc_id for doc_id in ids})
        done: list[tuple[int, T]] = []

        def attempt() -> T:
            done.clear()
            with self._tables.db.transaction() as session:
                self._hold(session, keys)
                number = _one(session, "SELECT nextval('commit_numbers')")
                state = state_in(session)
                live = self._live(session, keys, state)
                change, result = decide(live, state)
                if not self._write(session, number, live, change):
                    return result
                done.append((number, result))
            return result

        try:
            return retried(attempt)
        except LostConnectionError:
            if done and self._has_committed(done[-1][0], keys):  # only its answer was lost
                return done[-1][1]
            raise

    def _hold(self, session: Session, keys: Sequence[int]) -> None:
        schema = self._tables.url.schema
        session.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", (GATE, schema))
        session.execute(
            "INSERT INTO writing (key) SELECT key FROM unnest(%s::bigint[]) AS key ORDER BY key "
            "ON CONFLICT (key) DO UPDATE SET key = excluded.key",
            (list(keys),),
        )

    def _live(self, session: Session, keys: Sequence[int], state: State) -> dict[str, Live]:
        rows = session.execute(
            "SELECT id, part, number, hash, metadata::text, n_tokens FROM documents "
            f"WHERE part = ANY(%s) AND key = ANY(%s::bigint[]) AND {THERE}",
            (sorted({self._tables.part_of(key) for key in keys}), list(keys), *state.there),
            binary=True,
        )
        return {
            doc_id: Live(part, number, bytes(digest), metadata_of(metadata), n_tokens)
            for doc_id, part, number, digest, metadata, n_tokens in rows
        }

    def _write(
        self, session: Session, number: int, live: Mapping[str, Live], change: Change
    ) -> bool:
        """Write a commit's rows; whether there was anything to do."""
        tables = self._tables
        ids = dict.fromkeys([*change.delete, *(item.document.id for item in change.add)])
        gone = [live[doc_id] for doc_id in ids if doc_id in live]
        if not gone and not change.add:
            return False
        if gone:
            session.execute(
                "UPDATE documents SET removed = %s WHERE part = ANY(%s) "
                "AND number = ANY(%s::bigint[])",
                (number, sorted({one.part for one in gone}), [one.number for one in gone]),
            )
        copy_rows(session, document_rows(tables, number, change.add))
        n_blocks = sum(-(-len(item) // BLOCK_TOKENS) for item in change.add)
        session.execute(
            "INSERT INTO commits (id, documents, tokens, blocks) VALUES (%s, %s, %s, %s)",
            (
                number,
                len(change.add) - len(gone),
                sum(map(len, change.add)) - sum(one.n_tokens for one in gone),
                n_blocks - sum(one.n_blocks for one in gone),
            ),
        )
        if tables.weights is not None and tables.layout.manifest.weights is None:
            session.execute(
                "UPDATE layout SET weights = %s WHERE weights IS NULL", (tables.weights,)
            )
        return True

    def _has_committed(self, number: int, keys: Sequence[int]) -> bool:
        """Whether a commit is there, as a new connection sees it.

        Raises:
            LostConnectionError: the server still does not answer.
        """
        with self._tables.db.transaction() as session:
            self._hold(session, keys)  # waits for its end, if it is still under way
            return bool(
                _one(
                    session,
                    f"SELECT EXISTS (SELECT FROM commits WHERE id = {number}) "
                    f"OR (SELECT commit >= {number} FROM settled)",
                )
            )


def _one(session: Session, statement: str) -> Any:
    row = session.execute(statement).fetchone()
    assert row is not None
    return row[0]
