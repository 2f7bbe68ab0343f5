"""One engine with a few documents."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.generator.generator import Generator
from tests.engine.conftest import DOCUMENTS


@pytest.fixture(scope="session")
def engine(generator: Generator) -> Engine:
    """Three short documents in memory; tests must not change it."""
    from s3_retriever.profile import Profile

    engine = Engine(generator, Profile.load("smollm2-135m-instruct"))
    engine.add(DOCUMENTS)
    return engine
