"""A small model and profile on disk, for runners that load them."""

from __future__ import annotations

import pytest

from s3_retriever.encoding.runners import ScanPlan
from s3_retriever.settings import ScanSettings
from tests.tiny import tiny_llm, write_profile


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> ScanPlan:
    root = tmp_path_factory.mktemp("runners")
    llm = tiny_llm()
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm)
    settings = ScanSettings(chunk_tokens=24, batch_tokens=64)
    return ScanPlan(str(profile), str(root / "model"), settings, dtype="float32", device="cpu")
