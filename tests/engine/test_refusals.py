"""What the system refuses, and what is far too long, is an error with a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import EndogenousError, IndexStorageError, InputError, ModelError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[TransformersModel, Profile]:
    llm = tiny_llm()
    return llm, Profile.load(write_profile(tmp_path_factory.mktemp("refusals"), llm))


@pytest.fixture
def engine(parts: tuple[TransformersModel, Profile], tmp_path: Path) -> Engine:
    made = Engine(*parts, tmp_path / "i")
    made.add([Document("a", TEXT)])
    return made


def in_a_file(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file" / "bundle"


def in_place_of_a_folder(folder: Path) -> Path:
    (folder / "full" / "of").mkdir(parents=True)
    return folder / "full"


PLACES: list[Callable[[Path], Path]] = [
    in_a_file,
    in_place_of_a_folder,
    lambda folder: folder / "no" / "such" / "folder" / "bundle",
    lambda folder: folder / ("x" * 300),
    lambda folder: Path("/proc/version/bundle"),
    lambda folder: Path("/proc/bundle"),
]


@pytest.mark.parametrize("place", PLACES)
def test_an_export_to_where_nothing_can_be_written(
    engine: Engine, tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    with pytest.raises(IndexStorageError, match="cannot write bundle"):
        engine.export_bundle(place(tmp_path))
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize("name", ["segments", "tantivy", "manifest.json", "search.json"])
@pytest.mark.parametrize("instead", ["file", "folder"])
def test_a_part_of_an_index_that_is_something_else(
    engine: Engine,
    parts: tuple[TransformersModel, Profile],
    tmp_path: Path,
    name: str,
    instead: str,
) -> None:
    (tmp_path / "i" / name).rename(tmp_path / "away")
    if instead == "file":
        (tmp_path / "i" / name).write_bytes(b"x")
    else:
        (tmp_path / "i" / name).mkdir()
    try:
        again = Engine(*parts, tmp_path / "i")
        again.retrieve("What?")
        again.info()
    except EndogenousError:
        pass


@pytest.mark.parametrize("mode", ["hybrid", "features", "bm25"])
@pytest.mark.parametrize("unit", ["word ", "x", "\u65e5", " ", "😀"])
def test_a_question_of_a_million_characters(engine: Engine, mode: str, unit: str) -> None:
    question = unit * (1_000_000 // len(unit))
    with pytest.raises(InputError, match="characters"):
        engine.retrieve(question, mode=mode)
    with pytest.raises(InputError, match="characters"):
        engine.compress(question, TEXT, 10)
    engine.cache_queries([question])  # which leaves it to the question's own retrieve


def test_a_model_folder_with_code_is_refused_without_a_question(
    parts: tuple[TransformersModel, Profile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm, _ = parts
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError):
        TransformersModel.load(str(tmp_path))
    assert not (tmp_path / "ran").exists()
