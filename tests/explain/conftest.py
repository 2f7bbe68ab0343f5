"""One engine with a few documents."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.models.transformers import TransformersModel
from tests.engine.conftest import DOCUMENTS


@pytest.fixture(scope="session")
def engine(llm: TransformersModel) -> Engine:
    """Three short documents in memory; tests must not change it."""
    from s3_retriever.profiles.profile import Profile

    engine = Engine(llm, Profile.load("smollm2-135m-instruct"))
    engine.add(DOCUMENTS)
    return engine
