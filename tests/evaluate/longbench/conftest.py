"""What the tests of LongBench share."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.generator.generator import Generator
from s3_retriever.profile import Profile


@pytest.fixture(scope="session")
def engine(generator: Generator) -> Engine:
    """The real model with nothing in its index."""
    return Engine(generator, Profile.load("smollm2-135m-instruct"))
