"""A small random model behind the commands: all is real but the quality."""

from __future__ import annotations

import pytest

from tests.tiny import tiny_llm, write_profile


@pytest.fixture(scope="session")
def resident(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that choose a model with a window of 2,048 tokens and a profile of two layers."""
    root = tmp_path_factory.mktemp("analyses")
    llm = tiny_llm(max_position_embeddings=2048)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm, sites=((1, (0, 1)), (2, (0,))))
    return ["--profile", str(profile), "--model", str(root / "model"), "--device", "cpu"]
