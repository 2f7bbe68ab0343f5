"""What the tests of LongBench share."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile


@pytest.fixture(scope="session")
def engine(llm: TransformersModel) -> Engine:
    """The real model with nothing in its index."""
    return Engine(llm, Profile.load("smollm2-135m-instruct"))
