"""What the tests of the measurements share."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.engine.conftest import DOCUMENTS


@pytest.fixture(scope="session")
def engine(llm: TransformersModel) -> Engine:
    """The real model with three short documents in memory; tests must not change it."""
    engine = Engine(llm, Profile.load("smollm2-135m-instruct"))
    engine.add(DOCUMENTS)
    return engine
