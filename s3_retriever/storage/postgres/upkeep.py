"""Keeping tables small: batches are merged, old commits settled, what they removed deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.postgres import batches
from s3_retriever.storage.postgres.batches import Batch, batch_of
from s3_retriever.storage.postgres.connection import Session, retried
from s3_retriever.storage.postgres.postings import (
    FEATURES,
    WORDS,
    Kind,
    PostingRow,
    Postings,
    merged,
)
from s3_retriever.storage.postgres.rows import PLACES, BatchRows, batch_rows, copy_rows
from s3_retriever.storage.postgres.schema import TABLES
from s3_retriever.storage.postgres.state import NEVER, THERE_IN_BATCHES, State, state_in
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.storage.postgres.writer import GATE

__all__ = ["GRACE", "compact", "settle", "tidy"]

logger = logging.getLogger(__name__)

FAN = 4
"""Batches of one tier that become one of the next (O'Neil et al. 1996)."""
LARGEST = 1 << 14
"""Blocks of a batch that no merge exceeds: a million tokens, whose merge takes some 600 MB."""
GRACE = 60.0
"""Seconds that what was removed is kept for questions that are under way."""
_MERGING = 0x5333_0003
"""First half of the advisory lock of who merges a partition."""
_SETTLE_EVERY = 64
"""Commits."""


def tidy(tables: Tables, ids: Iterable[str]) -> None:
    """What a commit of some documents does afterwards, so that many of them stay few batches.

    What fails here costs time and no truth: the next commit does it.
    """
    parts = sorted({tables.part_of_id(doc_id) for doc_id in ids})
    try:
        for part in parts:
            while _worth_merging(tables, part) and retried(partial(_merge_tier, tables, part)):
                pass
        if tables.query("SELECT count(*) FROM commits")[0][0] >= _SETTLE_EVERY:
            settle(tables, GRACE, wait=False)
    except IndexStorageError as e:
        logger.warning("batches were not merged, until the next write: %s", e)


def _worth_merging(tables: Tables, part: int) -> bool:
    rows = tables.query(
        "SELECT n_blocks FROM batches WHERE part = %s AND removed = %s", part, NEVER
    )
    return _tier_of(FAN, [n for (n,) in rows]) is not None


def _tier_of(fan: int, sizes: Sequence[int]) -> list[int] | None:
    """Numbers of the batches that should be merged first, by their blocks, if any should be."""
    by_tier: dict[int, list[int]] = {}
    for number, n_blocks in enumerate(sizes):
        by_tier.setdefault(_tier(n_blocks), []).append(number)
    for _, some in sorted(by_tier.items()):
        if len(some) >= fan and sum(sizes[n] for n in some[:fan]) <= LARGEST:
            return some[:fan]
    return None


def compact(tables: Tables, grace: float = GRACE) -> None:
    """Merge what can be merged, and delete what no question of the last while can ask for."""
    for part in tables.parts:
        retried(partial(_merge_all, tables, part))
    settle(tables, grace, wait=True)
    # partitions that lie elsewhere are left to the autovacuum of their servers
    tables.db.run(f"VACUUM (ANALYZE, SKIP_LOCKED) {', '.join(TABLES)}, commits, writing")


def settle(tables: Tables, grace: float, *, wait: bool) -> None:
    """Fold the commits of a while ago into one number, and delete what they removed.

    Args:
        tables: of the index.
        grace: seconds; later commits are left alone.
        wait: for commits that are under way; without, nothing is done while there are any.
    """
    with tables.db.transaction() as session:
        schema = tables.url.schema
        lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
        taken = session.execute(
            f"SELECT {lock}(%s, hashtext(%s))",
            (GATE, schema),
        ).fetchone()
        if taken and taken[0] is False:
            return
        row = session.execute(
            "SELECT max(id) FROM commits WHERE id < coalesce("
            "(SELECT min(id) FROM commits WHERE at > now() - %s * interval '1 second'), %s)",
            (grace, NEVER),
        ).fetchone()
        if row is None or row[0] is None:
            return
        horizon = row[0]
        failed = [n for n in state_in(session).excluded if n < horizon]
        _forget(session, tables.parts, failed)
        session.execute(
            """UPDATE settled s SET commit = %s, documents = s.documents + c.documents,
               tokens = s.tokens + c.tokens, blocks = s.blocks + c.blocks,
               generation = s.generation + c.n
               FROM (SELECT sum(documents) documents, sum(tokens) tokens, sum(blocks) blocks,
                     count(*) n FROM commits WHERE id <= %s) c""",
            (horizon, horizon),
        )
        session.execute("DELETE FROM commits WHERE id <= %s", (horizon,))
        _delete_removed(session, tables.parts, horizon)


def _forget(session: Session, parts: Sequence[int], failed: Sequence[int]) -> None:
    """Undo on all servers what commits did that never came to their end."""
    if not failed:
        return
    numbers = list(failed)
    for statement in (
        "DELETE FROM documents WHERE part = ANY(%s) AND added = ANY(%s::bigint[])",
        "DELETE FROM batches WHERE part = ANY(%s) AND batch = ANY(%s::bigint[])",
        "DELETE FROM postings WHERE part = ANY(%s) AND batch = ANY(%s::bigint[])",
    ):
        session.execute(statement, (list(parts), numbers))
    for table in ("documents", "batches"):
        session.execute(
            f"UPDATE {table} SET removed = %s WHERE part = ANY(%s) AND removed = ANY(%s::bigint[])",
            (NEVER, list(parts), numbers),
        )
    for number in numbers:
        session.execute(
            "DELETE FROM blocks WHERE part = ANY(%s) AND place >= %s AND place < %s",
            (list(parts), number * PLACES, (number + 1) * PLACES),
        )


def _delete_removed(session: Session, parts: Sequence[int], horizon: int) -> None:
    """Delete the documents and batches that commits up to ``horizon`` removed."""
    rows = session.execute(
        "SELECT number, n_tokens FROM documents WHERE part = ANY(%s) AND removed <= %s",
        (list(parts), horizon),
    ).fetchall()
    places = [number + block for number, n in rows for block in range(-(-n // 64))]
    session.execute(
        "DELETE FROM blocks WHERE part = ANY(%s) AND place = ANY(%s::bigint[])",
        (list(parts), places),
    )
    session.execute(
        "DELETE FROM documents WHERE part = ANY(%s) AND removed <= %s", (list(parts), horizon)
    )
    gone = session.execute(
        "SELECT part, batch FROM batches WHERE part = ANY(%s) AND removed <= %s",
        (list(parts), horizon),
    ).fetchall()
    for part, batch in gone:
        session.execute("DELETE FROM postings WHERE part = %s AND batch = %s", (part, batch))
    session.execute(
        "DELETE FROM batches WHERE part = ANY(%s) AND removed <= %s", (list(parts), horizon)
    )


def _merge_tier(tables: Tables, part: int) -> bool:
    """Merge the smallest batches of a part that are many; whether there were any."""
    with tables.db.transaction() as session:
        state, found = _batches(session, tables, part)
        chosen = _tier_of(FAN, [batch.n_blocks for batch in found])
        if chosen is None:
            return False
        _merge(session, tables, part, state, [found[number] for number in chosen])
        return True


def _merge_all(tables: Tables, part: int) -> None:
    """Merge the batches of a part into as few as can be, without documents that are gone."""
    with tables.db.transaction() as session:
        state, found = _batches(session, tables, part)
        dead = _dead(session, part, state)
        groups: list[list[Batch]] = [[]]
        for batch in found:
            if sum(b.n_blocks for b in groups[-1]) + batch.n_blocks > LARGEST:
                groups.append([])
            groups[-1].append(batch)
        for group in groups:
            if len(group) > 1 or any(np.isin(batch.numbers, dead).any() for batch in group):
                _merge(session, tables, part, state, group)


def _batches(session: Session, tables: Tables, part: int) -> tuple[State, list[Batch]]:
    """The batches of a part, for who may merge them: nobody else does until the transaction ends.

    Nothing is returned while another transaction merges them.
    """
    schema, key = tables.url.schema, f"{tables.url.schema}/{part}"
    session.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", (GATE, schema))
    row = session.execute(
        "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (_MERGING, key)
    ).fetchone()
    state = state_in(session)
    if row is None or not row[0]:
        return state, []
    rows = session.execute(
        f"SELECT {batches.COLUMNS} FROM batches WHERE part = %s AND "
        f"{THERE_IN_BATCHES} ORDER BY batch",
        (part, *state.there),
        binary=True,
    )
    return state, [batch_of(row) for row in rows]


def _dead(session: Session, part: int, state: State) -> np.ndarray:
    """Numbers of a part's documents that are there no more."""
    rows = session.execute(
        f"SELECT number FROM documents WHERE part = %s AND removed < {NEVER} AND removed <= %s "
        "AND removed <> ALL(%s::bigint[])",
        (part, *state.added),
    )
    return np.array([number for (number,) in rows], np.int64)


def _merge(
    session: Session, tables: Tables, part: int, state: State, chosen: Sequence[Batch]
) -> None:
    """Make one batch of several; readers of former states go on with those."""
    row = session.execute("SELECT nextval('commit_numbers')").fetchone()
    assert row is not None
    number = int(row[0])
    dead = _dead(session, part, state)
    numbers = np.concatenate([batch.numbers for batch in chosen])
    sizes = np.concatenate([batch.sizes for batch in chosen])
    lengths = np.concatenate([batch.lengths for batch in chosen], axis=1)
    owners = np.concatenate([batch.owners for batch in chosen])
    kept, kept_blocks = ~np.isin(numbers, dead), ~np.isin(owners, dead)
    renumbered = np.where(kept_blocks, np.cumsum(kept_blocks) - 1, -1).astype(np.int32)
    kinds = (
        _postings(session, part, chosen, WORDS, renumbered),
        _postings(session, part, chosen, FEATURES, renumbered),
    )
    n_terms = np.array([int(found.counts.sum()) for found in kinds], np.int64)
    languages = {name for batch in chosen for name in batch.languages}
    if kept.any():
        rows = BatchRows()
        batch, rows.postings = batch_rows(
            tables,
            part,
            number,
            numbers[kept],
            sizes[kept],
            lengths[:, kept_blocks],
            n_terms,
            languages,
            kinds,
        )
        rows.batches.append(batch)
        copy_rows(session, rows)
    session.execute(
        "UPDATE batches SET removed = %s WHERE part = %s AND batch = ANY(%s::bigint[])",
        (number, part, [batch.number for batch in chosen]),
    )
    session.execute(
        "INSERT INTO commits (id, documents, tokens, blocks) VALUES (%s, 0, 0, 0)", (number,)
    )
    logger.debug("merged %d batches of partition %d", len(chosen), part)


def _postings(
    session: Session, part: int, chosen: Sequence[Batch], kind: Kind, renumbered: np.ndarray
) -> Postings:
    """The postings of batches, with the numbers that their blocks will have."""
    firsts = dict(
        zip(
            [batch.number for batch in chosen],
            np.cumsum([0, *(batch.n_blocks for batch in chosen)]).tolist(),
            strict=False,
        )
    )
    n_blocks = {batch.number: batch.n_blocks for batch in chosen}
    rows = session.execute(
        "SELECT batch, slot, terms, blocks, counts FROM postings WHERE part = %s AND kind = %s "
        "AND batch = ANY(%s::bigint[])",
        (part, kind.number, list(firsts)),
        binary=True,
    )
    found = []
    for number, *columns in sorted(rows, key=lambda row: firsts[row[0]]):
        row = PostingRow(*columns).postings(kind, n_blocks[number])
        blocks = renumbered[row.blocks + firsts[number]]
        if (held := blocks >= 0).all():
            found.append(Postings(row.terms, blocks, row.counts))
        else:
            found.append(Postings(row.terms[held], blocks[held], row.counts[held]))
    return merged(found)


def _tier(n_blocks: int) -> int:
    tier = 0
    while n_blocks >= FAN**tier:
        tier += 1
    return tier
