"""What commands that stay do before they load a model."""

from __future__ import annotations

import os

import pytest

from s3_retriever.cli.opening import bound_torch_caches


@pytest.mark.parametrize(("given", "kept"), [(None, "64"), ("8", "8")])
def test_torch_keeps_little_in_each_thread(
    monkeypatch: pytest.MonkeyPatch, given: str | None, kept: str
) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", given or "")  # so that it is put back afterwards
    if given is None:
        monkeypatch.delenv("LRU_CACHE_CAPACITY")
    bound_torch_caches()
    assert os.environ["LRU_CACHE_CAPACITY"] == kept
