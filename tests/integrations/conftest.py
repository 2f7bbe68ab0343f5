"""One engine for the tests of both frameworks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from s3_retriever import Engine
from s3_retriever.server.tokens import TokenRecord, Tokens
from tests.integrations.samples import DOCUMENTS, PROFILE, TOKEN
from tests.server.conftest import Running, serving

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The shipped profile over an index in memory; tests leave its documents as they are."""
    engine = Engine.from_profile(PROFILE)
    engine.add(DOCUMENTS)
    return engine


@pytest.fixture(scope="session")
def server(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server around the same weights and documents, which tests leave as they are.

    What is written goes to namespaces, see :func:`namespace`.
    """
    served = Engine(engine.llm, engine.profile, tmp_path_factory.mktemp("served") / "index")
    served.add(DOCUMENTS)
    tokens = Tokens([TokenRecord(name="tests", token=TOKEN)])
    with serving(served, tokens=tokens) as running:
        yield running


@pytest.fixture
def namespace() -> str:
    """Of a test's own, empty."""
    return f"test-{next(_NUMBERS)}"
