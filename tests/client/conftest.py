"""A server that runs, asked over HTTP, beside the engine that it holds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from s3_retriever import Engine
from s3_retriever.client import Client
from s3_retriever.server.tokens import TokenRecord, Tokens
from tests.server.conftest import Running, profile, server, serving, small

__all__ = ["profile", "server", "small"]

NUMBERS = itertools.count()
TOKENS = {name: f"{name}-0123456789abcdef" for name in ("writer", "reader", "slow", "rare")}


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[Client]:
    """Of the real SmolLM2 and three documents; tests leave these as they are."""
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="session")
def guarded(
    small: Callable[[Path | None], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Around a small random model, with tokens."""
    records = [
        TokenRecord(name="writer", token=TOKENS["writer"]),
        TokenRecord(name="reader", token=TOKENS["reader"], write=False),
        TokenRecord(name="slow", token=TOKENS["slow"], per_minute=60),
        TokenRecord(name="rare", token=TOKENS["rare"], per_minute=1),
    ]
    engine = small(tmp_path_factory.mktemp("guarded") / "index")
    with serving(engine, tokens=Tokens(records)) as running:
        yield running


@pytest.fixture
def writer(guarded: Running) -> Client:
    """May write; in a namespace of the test's own."""
    return Client(guarded.url, token=TOKENS["writer"], namespace=f"test-{next(NUMBERS)}")
