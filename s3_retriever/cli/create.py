"""``s3-retriever create``: an empty index in PostgreSQL, if need be on several servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Optional

import typer

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.opening import place_of, shown, there_is
from s3_retriever.cli.options import IndexOption, NamespaceOption, ProfileOption
from s3_retriever.errors import InputError

__all__ = ["create"]


def create(
    folder: IndexOption,
    server: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="NAME=URL",
            help="Deal the partitions out over this server, too, which the database of --index "
            "knows by NAME (CREATE SERVER ... postgres_fdw). May be given again.",
        ),
    ] = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make an empty index in PostgreSQL; the first documents would, too, but on one server."""
    place = place_of(folder, namespace)
    if not isinstance(place, str):
        raise InputError("a folder is made with its first documents: s3-retriever index")
    servers = _named(server or ())
    if there_is(place):
        raise InputError(f"there is an index at {shown(place)}")
    _create_tables(place, profile, servers)
    on = f" on {len(servers) + 1} servers" if servers else ""
    console.print(f"{shown(place)}: made{on}, empty", highlight=False, markup=False, soft_wrap=True)


def _create_tables(url: str, profile: str | None, servers: dict[str, str]) -> None:
    with waiting(f"making {shown(url)} ..."):
        from s3_retriever.profiles.cards import DEFAULT_PROFILE, load_card
        from s3_retriever.storage.postgres.connection import Database
        from s3_retriever.storage.postgres.schema import create as create_tables
        from s3_retriever.storage.postgres.url import StoreUrl

        database = Database(StoreUrl.parse(url))
        try:
            create_tables(database, load_card(profile or DEFAULT_PROFILE), None, servers)
        finally:
            database.close()


def _named(servers: Sequence[str]) -> dict[str, str]:
    """URLs by name; a message holds names alone, since a URL may hold a password."""
    named: dict[str, str] = {}
    for given in servers:
        name, equals, url = given.partition("=")
        if not (equals and name and url):
            raise InputError("--server is NAME=URL, e.g. second=postgresql://me@db2.example/texts")
        if name in named:
            raise InputError(f"--server {name} is given twice")
        named[name] = url
    return named
