"""What every test folder shares: the real model, and how hypothesis runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from s3_retriever.models.transformers import TransformersModel

settings.register_profile("steady", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def llm() -> TransformersModel:
    """The real SmolLM2, once."""
    return TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny products are slower on many threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
