"""What every test folder shares: the real model, and how hypothesis runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from s3_retriever.models.transformers import TransformersModel
from tests.postgres import Server

settings.register_profile("steady", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("steady")

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads wait for each other
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def llm() -> TransformersModel:
    """The real SmolLM2, once."""
    return TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, once; whoever uses it takes a schema of its own."""
    server = Server().start()
    yield server
    server.remove()


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
