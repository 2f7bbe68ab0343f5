"""Namespaces: schemas beside that of an index, whose names begin with its."""

from __future__ import annotations

from s3_retriever.storage.postgres.connection import Database

__all__ = ["namespaces_in"]


def namespaces_in(db: Database) -> list[str]:
    """Names of the namespaces of an index that hold tables, sorted."""
    rows = db.query(
        "SELECT nspname FROM pg_namespace n WHERE EXISTS "
        "(SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'layout')"
    )
    names = (db.url.namespace_in(schema) for (schema,) in rows)
    return sorted(name for name in names if name is not None)
