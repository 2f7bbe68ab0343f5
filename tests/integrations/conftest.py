"""One engine for the tests of both frameworks."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from tests.integrations.samples import DOCUMENTS, PROFILE


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The shipped profile over an index in memory; tests leave its documents as they are."""
    engine = Engine.from_profile(PROFILE)
    engine.add(DOCUMENTS)
    return engine
