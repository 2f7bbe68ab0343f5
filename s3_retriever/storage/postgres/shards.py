"""Which servers hold the partitions of an index."""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.postgres.connection import Database

__all__ = ["parts_without", "placement"]


def placement(db: Database) -> dict[int, str | None]:
    """The ``postgres_fdw`` server of each partition; ``None`` is the server itself."""
    rows = db.query(
        """SELECT substring(c.relname from '[0-9]+$')::int, s.srvname
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid
           LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
           WHERE i.inhparent = 'documents'::regclass"""
    )
    return dict(sorted(rows))


def parts_without(db: Database, parts: Sequence[int], server: str | None) -> list[int]:
    """Those of some partitions whose servers answer.

    Args:
        db: where the index lies.
        parts: numbers.
        server: that is known not to answer; ``None``: each is tried.
    """
    placed = placement(db)
    if server is not None:
        return [part for part in parts if placed.get(part) != server]
    dead = set()
    for name in {placed[part] for part in parts if placed.get(part)}:
        part = next(p for p in parts if placed.get(p) == name)
        try:
            db.query("SELECT 1 FROM batches WHERE part = ANY(%s) LIMIT 1", [part])
        except IndexStorageError:
            dead.add(name)
    return [part for part in parts if placed.get(part) not in dead]
