"""Namespaces: engines around one model, each made again from what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a profile that is not a shipped one, and of its model."""
    root = tmp_path_factory.mktemp("engine")
    llm = tiny_llm()
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    return write_profile(root / "own profile", llm), root / "model"


def test_the_config_of_a_namespace_opens_it(places: tuple[Path, Path], tmp_path: Path) -> None:
    profile, model = places
    engine = Engine.from_profile(profile, tmp_path, model=str(model), device="cpu")
    engine.namespace("team").add([Document("d", TEXT)])
    config = engine.namespace("team").to_config()
    assert config["profile"] == str(profile)  # the folder, not the name that its card has
    assert config["model"] == str(model)

    again = Engine.from_config(json.loads(json.dumps(config)), device="cpu")
    assert again.documents.get("d") == Document("d", TEXT)
    assert again.to_config() == config
    assert Engine.from_config(engine.to_config(), device="cpu").documents.ids() == []
