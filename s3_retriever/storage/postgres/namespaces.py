"""Namespaces of an index in PostgreSQL: schemas beside its own."""

from __future__ import annotations

from psycopg import errors, sql

from s3_retriever.errors import IndexLockedError, IndexStorageError
from s3_retriever.quoting import brief
from s3_retriever.storage.namespaces import check_namespace
from s3_retriever.storage.postgres.connection import Database
from s3_retriever.storage.postgres.schema import drop, lock_setup
from s3_retriever.storage.postgres.shards import placement
from s3_retriever.storage.postgres.writer import GATE

__all__ = ["delete_namespace", "namespaces_in"]


def namespaces_in(db: Database) -> list[str]:
    """Names of the namespaces of an index that hold tables, sorted."""
    rows = db.query(
        "SELECT nspname FROM pg_namespace n WHERE EXISTS "
        "(SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'layout')"
    )
    names = (db.url.namespace_in(schema) for (schema,) in rows)
    return sorted(name for name in names if name is not None)


def delete_namespace(db: Database, name: str) -> bool:
    """Delete a namespace of an index in one transaction; returns whether it was there.

    What others keep in its schema stays there, and the schema with it.

    Args:
        db: of the index.
        name: of the namespace.

    Raises:
        InputError: no name for a namespace.
        IndexLockedError: it is being written or read.
        IndexStorageError: a part of it lies on another server, or a server refuses.
    """
    url = db.url.namespace(check_namespace(name))
    if name not in namespaces_in(db):
        return False
    own = Database(url)
    try:
        if others := sorted({server for server in placement(own).values() if server}):
            raise IndexStorageError(
                f"a part of {brief(url)} lies on {brief(', '.join(others))}: drop schema "
                f"{brief(url.schema)} there and here, as its administrator"
            )
        with own.transaction() as session:
            lock_setup(session, url.schema)
            free = session.execute(
                "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (GATE, url.schema)
            ).fetchone()
            try:
                if not (free and free[0]):
                    raise _in_use(str(url))
                session.execute("SET LOCAL lock_timeout = '2s'")
                drop(session)
            except errors.LockNotAvailable as e:
                raise _in_use(str(url)) from e
            try:
                with session.transaction():
                    session.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(url.schema)))
            except (errors.DependentObjectsStillExist, errors.InsufficientPrivilege):
                pass  # others have something in it, or made it: an empty one is no namespace
    finally:
        own.close()
    return True


def _in_use(url: str) -> IndexLockedError:
    return IndexLockedError(f"index {brief(url)} is in use; try again when that has ended")
