"""What tables hold, in numbers."""

from __future__ import annotations

from typing import Any

from s3_retriever.storage.postgres.schema import TABLES
from s3_retriever.storage.postgres.shards import placement
from s3_retriever.storage.postgres.state import NEVER, THERE_IN_BATCHES
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.storage.postgres.view import PostgresView

__all__ = ["describe", "sizes_of"]


def describe(view: PostgresView) -> dict[str, Any]:
    """Counts, bytes by table, and the profile's name and fingerprint, as plain JSON values.

    Bytes are those of this server's partitions, with their indexes.
    """
    tables, state = view.tables, view.state
    manifest, n_tokens = tables.layout.manifest, state.n_tokens
    sizes = _bytes_by_table(tables)
    search = sizes["postings"] + sizes["batches"]
    forward = sizes["documents"] + sizes["blocks"]
    servers = placement(tables.db)
    return {
        "path": str(tables.url),
        "profile": manifest.profile,
        "fingerprint": manifest.fingerprint,
        "schema_version": tables.layout.version,
        "documents": state.n_documents,
        "tokens": n_tokens,
        "blocks": state.n_blocks,
        "batches": _n_batches(view),
        "generation": state.generation,
        "partitions": tables.layout.partitions,
        "servers": sorted({server for server in servers.values() if server}),
        "bytes": {"forward": forward, "search": search, "tables": sizes},
        "bytes_per_token": {
            "forward": round(forward / n_tokens, 1) if n_tokens else None,
            "search": round(search / n_tokens, 1) if n_tokens else None,
        },
    }


def sizes_of(tables: Tables) -> tuple[int, int]:
    """Batches, and bytes of this server's partitions."""
    statement = "SELECT count(*) FROM batches WHERE part = ANY(%s) AND removed = %s"
    ((n,),) = tables.query(statement, tables.parts, NEVER)
    return int(n), sum(_bytes_by_table(tables).values())


def _bytes_by_table(tables: Tables) -> dict[str, int]:
    rows = tables.query(
        """SELECT p.relname, coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint
           FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
           WHERE i.inhparent = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
           GROUP BY p.relname""",
        list(TABLES),
    )
    return dict.fromkeys(TABLES, 0) | {name: int(size) for name, size in rows}


def _n_batches(view: PostgresView) -> int:
    rows = view.ask(
        f"SELECT count(*) FROM batches WHERE part = ANY(%s) AND {THERE_IN_BATCHES}",
        *view.state.there,
    )
    return int(rows[0][0])
