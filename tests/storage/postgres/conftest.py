"""Servers, once for all tests; a schema for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3_retriever.storage.postgres.connection import Database
from s3_retriever.storage.postgres.documents import PostgresDocuments
from s3_retriever.storage.postgres.schema import create
from s3_retriever.storage.postgres.url import StoreUrl
from tests.postgres import Server
from tests.storage.conftest import random_card

_numbers = itertools.count()

MakeDocuments = Callable[..., PostgresDocuments]


@pytest.fixture(scope="session")
def two_servers(postgres: Server) -> Iterator[tuple[Server, Server]]:
    """The one of all tests, and another that it knows as ``second``."""
    second = Server().start()
    postgres.knows(second, "second")
    yield postgres, second
    second.remove()


@pytest.fixture(scope="session")
def on_one_server(postgres: Server) -> MakeDocuments:
    """Makes an empty index of the random profile in a new schema."""

    def make(card: Any = None, **parameters: str) -> PostgresDocuments:
        url = postgres.url(schema=f"one_{next(_numbers)}", **parameters)
        return PostgresDocuments(url, card or random_card())

    return make


@pytest.fixture(scope="session")
def on_two_servers(two_servers: tuple[Server, Server]) -> MakeDocuments:
    """Makes an empty index half of which lies on another server."""
    first, second = two_servers

    def make(card: Any = None, **parameters: str) -> PostgresDocuments:
        url = first.url(schema=f"two_{next(_numbers)}", **parameters)
        create(Database(StoreUrl.parse(url)), card or random_card(), None, {"second": second.url()})
        return PostgresDocuments(url, card or random_card())

    return make
