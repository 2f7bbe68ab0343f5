"""What of the tables is there for a question: the commits that had ended when it began.

Every row says which commit added it and which one removed it. A reader asks once which commits are
done and reads the rest by that, in as many statements and connections and from as many servers as
it likes, without a transaction that would have to stay open: what it sees never changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3_retriever.storage.postgres.connection import Database, Row, Session

__all__ = [
    "ADDED",
    "NEVER",
    "STATE",
    "THERE",
    "THERE_IN_BATCHES",
    "State",
    "read_state",
    "state_in",
]

NEVER = 0x7FFF_FFFF_FFFF_FFFF
"""The commit that removes what is there."""

STATE = """
    SELECT s.commit, s.generation, s.documents, s.tokens, s.blocks, c.ids, c.documents, c.tokens,
           c.blocks
    FROM settled s, (
        SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids,
               coalesce(sum(documents), 0)::bigint AS documents,
               coalesce(sum(tokens), 0)::bigint AS tokens,
               coalesce(sum(blocks), 0)::bigint AS blocks
        FROM commits) c"""

ADDED = "added <= %s AND added <> ALL(%s::bigint[])"
"""Rows that were there once; the values are :attr:`State.added`."""
THERE = f"{ADDED} AND (removed > %s OR removed = ANY(%s::bigint[]))"
"""Rows that are there; the values are :attr:`State.there`."""
THERE_IN_BATCHES = THERE.replace("added", "batch")
"""As :data:`THERE`, of batches, which have their commit's number."""


@dataclass(frozen=True)
class State:
    """Commits up to ``horizon`` but for those in ``excluded``."""

    horizon: int
    excluded: tuple[int, ...]
    """That were under way, or had failed."""
    generation: int
    """Commits so far."""
    n_documents: int
    n_tokens: int
    n_blocks: int

    @property
    def added(self) -> tuple[int, list[int]]:
        """Values for :data:`ADDED`."""
        return self.horizon, list(self.excluded)

    @property
    def there(self) -> tuple[int, list[int], int, list[int]]:
        """Values for :data:`THERE`."""
        return (*self.added, *self.added)


def read_state(db: Database) -> State:
    """The present state.

    Raises:
        IndexStorageError: the server does not answer, or the tables are gone.
    """
    return _state_of(db.query(STATE))


def state_in(session: Session) -> State:
    """The state as a transaction sees it."""
    return _state_of(session.execute(STATE).fetchall())


def _state_of(rows: list[Row]) -> State:
    """From the row of :data:`STATE`."""
    settled, generation, *before, ids, documents, tokens, blocks = rows[0]
    horizon = ids[-1] if ids else settled
    done = set(ids)
    excluded = tuple(n for n in range(settled + 1, horizon) if n not in done)
    counts = [a + b for a, b in zip(before, (documents, tokens, blocks), strict=True)]
    return State(horizon, excluded, generation + len(ids), *counts)
