"""The tables of an index, and how those of older releases become today's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief
from s3_retriever.storage.manifest import SCHEMA as CODES_SCHEMA
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.postgres.connection import Database, Session
from s3_retriever.storage.postgres.state import NEVER
from s3_retriever.storage.postgres.url import StoreUrl

__all__ = [
    "DEFAULT_PARTITIONS",
    "TABLES",
    "VERSION",
    "Layout",
    "create",
    "drop",
    "lock_setup",
    "open_schema",
    "read_layout",
]

logger = logging.getLogger(__name__)

VERSION = 1
"""Of the tables. A newer one is refused, an older one is changed under a lock."""
DEFAULT_PARTITIONS = 4
"""So that an index of one server can be spread over four without being written anew."""

_SETUP_LOCK = 0x5333_0001
"""First half of the advisory lock under which tables are made and migrated."""

TABLES: Mapping[str, str] = {
    "documents": """
        part smallint NOT NULL, number bigint NOT NULL, key bigint NOT NULL, id text NOT NULL,
        added bigint NOT NULL, removed bigint NOT NULL, hash bytea NOT NULL, digest text NOT NULL,
        metadata json NOT NULL, fields jsonb NOT NULL, n_tokens integer NOT NULL,
        text text NOT NULL, tokens bytea NOT NULL, bounds bytea NOT NULL""",
    "blocks": "part smallint NOT NULL, place bigint NOT NULL, codes bytea NOT NULL",
    "batches": """
        part smallint NOT NULL, batch bigint NOT NULL, removed bigint NOT NULL,
        n_blocks integer NOT NULL, n_words bigint NOT NULL, n_features bigint NOT NULL,
        word_level smallint NOT NULL, feature_level smallint NOT NULL, languages text[] NOT NULL,
        numbers bytea NOT NULL, sizes bytea NOT NULL, lengths bytea NOT NULL""",
    "postings": """
        part smallint NOT NULL, batch bigint NOT NULL, kind smallint NOT NULL, slot bigint NOT NULL,
        terms bytea NOT NULL, blocks bytea NOT NULL, counts bytea NOT NULL""",
}
"""Columns of the tables that are partitioned by document. All of a document lies in one part."""

_INDEXES: Mapping[str, Sequence[str]] = {
    "documents": (
        "CREATE UNIQUE INDEX ON {table} (number)",
        "CREATE INDEX ON {table} (key)",
        f"CREATE INDEX ON {{table}} (removed) WHERE removed < {NEVER}",
        # removing is changing a number in a row with room beside it: no index is touched but one
        "ALTER TABLE {table} SET (fillfactor = 90)",
        "ALTER TABLE {table} ALTER tokens SET STORAGE EXTERNAL, ALTER bounds SET STORAGE EXTERNAL",
    ),
    "blocks": (
        "CREATE UNIQUE INDEX ON {table} (place)",
        # codes do not get smaller, and compression is tried on every value that is not EXTERNAL
        "ALTER TABLE {table} ALTER codes SET STORAGE EXTERNAL",
    ),
    "batches": ("CREATE UNIQUE INDEX ON {table} (batch)",),
    "postings": (
        "CREATE INDEX ON {table} (kind, slot, batch)",
        "CREATE INDEX ON {table} (batch)",
        "ALTER TABLE {table} ALTER terms SET STORAGE EXTERNAL, "
        "ALTER blocks SET STORAGE EXTERNAL, ALTER counts SET STORAGE EXTERNAL",
    ),
}

_ROOT = (
    # who writes a document holds its row here until the end of the transaction; nothing else is
    # in it, so it may be empty after a crash
    "CREATE UNLOGGED TABLE writing (key bigint PRIMARY KEY)",
    """CREATE TABLE commits (id bigint PRIMARY KEY, documents bigint NOT NULL,
       tokens bigint NOT NULL, blocks bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())""",
    "CREATE SEQUENCE commit_numbers",
    """CREATE TABLE settled (commit bigint NOT NULL, documents bigint NOT NULL,
       tokens bigint NOT NULL, blocks bigint NOT NULL, generation bigint NOT NULL)""",
    "INSERT INTO settled VALUES (0, 0, 0, 0, 0)",
    """CREATE TABLE layout (version integer NOT NULL, fingerprint text NOT NULL,
       profile text NOT NULL, model text NOT NULL, tokenizer text, weights text,
       hookpoints integer NOT NULL, k integer NOT NULL, latents integer NOT NULL,
       partitions integer NOT NULL)""",
)

_MIGRATIONS: Mapping[int, Callable[[Session], None]] = {}
"""By the version that they lead to; each runs in the transaction that holds the lock."""


@dataclass(frozen=True)
class Layout:
    """What an index was made for, as the schema says it."""

    version: int
    manifest: Manifest
    n_hookpoints: int
    k: int
    n_latents: int
    partitions: int


def read_layout(db: Database) -> Layout | None:
    """What lies in the schema of a database; ``None`` if it is no index.

    Raises:
        IndexMismatchError: it is of a newer release.
        IndexStorageError: the server does not answer or refuses.
    """
    (there,) = db.query("SELECT to_regclass('layout') IS NOT NULL")
    if not there[0]:
        return None
    rows = db.query(
        """SELECT version, fingerprint, profile, model, tokenizer, weights, hookpoints, k, latents,
           partitions, (SELECT generation + (SELECT count(*) FROM commits) FROM settled)
           FROM layout"""
    )
    if not rows:
        return None
    version, fingerprint, profile, model, tokenizer, weights, *sizes, generation = rows[0]
    if version > VERSION:
        raise IndexMismatchError(
            f"index {brief(db.url)} has version {version} of its tables, and this release knows "
            "up to "
            f"{VERSION}; open it with the release that wrote it: pip install --upgrade s3-retriever"
        )
    manifest = Manifest(
        schema_version=CODES_SCHEMA,
        fingerprint=fingerprint,
        profile=profile,
        model=model,
        tokenizer=tokenizer,
        weights=weights,
        generation=generation,
    )
    return Layout(version, manifest, *sizes)


def open_schema(db: Database, card: ProfileCard, weights: str | None) -> Layout:
    """The index of a URL, made if there is none, brought up to date if it is older.

    Raises:
        IndexMismatchError: it was made with another profile, other weights, or a newer release.
        IndexStorageError: the server does not answer or refuses.
    """
    layout = read_layout(db)
    if layout is None:
        create(db, card, weights)
        layout = read_layout(db)
        assert layout is not None
    layout.manifest.check(card, weights, f"index {db.url}")
    if layout.version < VERSION:
        _migrate(db)
    return layout


def create(
    db: Database, card: ProfileCard, weights: str | None, shards: Mapping[str, str] | None = None
) -> None:
    """Make an empty index, unless another process was faster.

    Args:
        db: where.
        card: of the profile.
        weights: digest of the model's weights, if it is known.
        shards: URLs by name of the ``postgres_fdw`` server that leads there: partitions are dealt
            out in turn, to this server first.

    Raises:
        IndexStorageError: a server refuses.
    """
    n = db.url.partitions or DEFAULT_PARTITIONS
    owners: list[str | None] = [None, *(shards or {})]
    placed = {part: owners[part % len(owners)] for part in range(n)}
    with db.transaction() as session:
        lock_setup(session, db.url.schema)
        name = sql.Identifier(db.url.schema)
        session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        found = session.execute("SELECT to_regclass('layout') IS NOT NULL").fetchone()
        if found and found[0]:
            return
        for statement in _ROOT:
            session.execute(statement)
        for table, columns in TABLES.items():
            session.execute(
                sql.SQL("CREATE TABLE {} ({}) PARTITION BY LIST (part)").format(
                    sql.Identifier(table),
                    sql.SQL(columns),
                )
            )
        for part, server in placed.items():
            if server is None:
                _make_part(session, part, attached=True)
            else:
                _attach(session, part, server, db.url.schema)
        session.execute(
            "INSERT INTO layout VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                VERSION,
                card.fingerprint,
                card.name,
                card.model,
                card.tokenizer_sha256,
                weights,
                len(card.hookpoints),
                card.k,
                card.n_latents,
                n,
            ),
        )
        # after what can fail here; what it makes elsewhere is empty and can be made again
        for server, url in (shards or {}).items():
            _prepare_shard(url, db.url.schema, [p for p, s in placed.items() if s == server])


def _prepare_shard(url: str, schema: str, parts: Sequence[int]) -> None:
    """The tables of some partitions on the server that will hold them."""
    shard = Database(StoreUrl(StoreUrl.parse(url).conninfo, schema))
    try:
        with shard.transaction() as session:
            lock_setup(session, schema)
            session.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )
            for part in parts:
                _make_part(session, part, attached=False)
    finally:
        shard.close()


def _make_part(session: Session, part: int, *, attached: bool) -> None:
    """The tables of one partition on this server."""
    for table, columns in TABLES.items():
        name = sql.Identifier(f"{table}_{part}")
        if attached:
            session.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({})").format(
                    name, sql.Identifier(table), sql.Literal(part)
                )
            )
        else:
            session.execute(
                sql.SQL("CREATE TABLE {} ({}, CHECK (part = {}))").format(
                    name,
                    sql.SQL(columns),
                    sql.Literal(part),
                )
            )
        for statement in _INDEXES[table]:
            session.execute(sql.SQL(statement).format(table=name))


def _attach(session: Session, part: int, server: str, schema: str) -> None:
    """The tables of one partition that lie on another server."""
    for table in TABLES:
        session.execute(
            sql.SQL(
                "CREATE FOREIGN TABLE {} PARTITION OF {} FOR VALUES IN ({}) SERVER {} "
                "OPTIONS (schema_name {}, table_name {}, fetch_size '10000', batch_size '100')"
            ).format(
                sql.Identifier(f"{table}_{part}"),
                sql.Identifier(table),
                sql.Literal(part),
                sql.Identifier(server),
                sql.Literal(schema),
                sql.Literal(f"{table}_{part}"),
            )
        )


def _migrate(db: Database) -> None:
    """Bring the tables up to :data:`VERSION`, one version after the other, in one transaction."""
    with db.transaction() as session:
        lock_setup(session, db.url.schema)
        row = session.execute("SELECT version FROM layout").fetchone()
        version = row[0] if row else VERSION
        for step in range(version + 1, VERSION + 1):
            if step not in _MIGRATIONS:
                raise IndexStorageError(f"index {brief(db.url)}: no way leads to version {step}")
            logger.info("index %s: migrating the tables to version %d", brief(db.url), step)
            _MIGRATIONS[step](session)
            session.execute("UPDATE layout SET version = %s", (step,))


def drop(session: Session) -> None:
    """Drop what :func:`create` made on this server, in the transaction of a session."""
    session.execute(
        "DROP TABLE documents, blocks, batches, postings, writing, commits, settled, layout"
    )
    session.execute("DROP SEQUENCE commit_numbers")


def lock_setup(session: Session, schema: str) -> None:
    """Hold the lock under which tables of a schema are made, until the transaction ends."""
    session.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_SETUP_LOCK, schema))
