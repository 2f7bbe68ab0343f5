"""One model in memory for all that ask for the same."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from s3_retriever.engine import Engine
from s3_retriever.errors import ModelError
from s3_retriever.models.shared import shared_model
from tests.tiny import tiny_llm, write_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    llm = tiny_llm()
    llm.model.save_pretrained(tmp_path / "model")
    llm.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_engines_share_weights(folder: Path, tmp_path: Path) -> None:
    write_profile(tmp_path / "profile", shared_model(str(folder)))
    one, other = (
        Engine.from_profile(tmp_path / "profile", tmp_path / name, model=str(folder), device="cpu")
        for name in ("a", "b")
    )
    assert one.llm is other.llm
    wider = Engine.from_profile(
        tmp_path / "profile", model=str(folder), device="cpu", dtype=torch.float64
    )
    assert wider.llm is not one.llm


def test_threads_that_ask_at_once_load_one(folder: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: shared_model(str(folder)), range(8)))
    assert len(set(map(id, found))) == 1


def test_files_that_changed_are_another_model(folder: Path) -> None:
    before = shared_model(str(folder))
    os.utime(folder / "config.json", ns=(1, 1))
    assert shared_model(str(folder)) is not before


def test_what_nobody_holds_is_given_back(folder: Path) -> None:
    llm = shared_model(str(folder))
    first = llm.model
    del llm
    gc.collect()
    assert shared_model(str(folder)).model is not first


def test_a_device_that_is_none(folder: Path) -> None:
    with pytest.raises(ModelError, match="cannot be used"):
        shared_model(str(folder), device="no-device")
