"""A path means the place that it meant when it was given, wherever the process goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import EndogenousError, IndexStorageError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.paths import bound
from s3_retriever.profiles.cards import bound_profile, find_profile
from s3_retriever.profiles.profile import Profile
from s3_retriever.readers import read_files
from s3_retriever.storage.index import Index
from s3_retriever.storage.namespaces import namespace_folder
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a model and a profile, and the working directory in it."""
    home = tmp_path / "home"
    (home / "own").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    llm = tiny_llm()
    llm.model.save_pretrained(home / "model")
    llm.tokenizer.save_pretrained(home / "model")
    write_profile(home / "own", llm)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.chdir(tmp_path / "elsewhere")


def nothing_elsewhere(home: Path) -> None:
    assert not list((home.parent / "elsewhere").iterdir())
    assert not (home / "~").exists()


def documents(folder: Path, home: Path) -> list[str]:
    return Engine(tiny_llm(), Profile.load(home / "own"), folder).ids()


PLACES = ["idx", "./idx", "deep/idx", "../home/idx", "~/idx", Path("idx"), Path("~/idx")]


@pytest.mark.parametrize("given", PLACES, ids=str)
def test_an_index(home: Path, leave: Callable[[], None], given: str | Path) -> None:
    engine = Engine(tiny_llm(), Profile.load("own"), given)
    engine.add([Document("first", TEXT)])
    leave()
    engine.add([Document("second", "More. " + TEXT)])
    engine.compact()
    engine.delete(["first"])
    place = home / ("deep/idx" if given == "deep/idx" else "idx")
    assert documents(place, home) == ["second"]
    assert engine.index.folder is not None
    assert engine.index.folder.samefile(place)
    nothing_elsewhere(home)


def test_an_index_without_an_engine(home: Path, leave: Callable[[], None]) -> None:
    index = Index(Path("idx"), Profile.load("own").card)
    leave()
    assert index.folder == home / "idx"


def test_a_namespace(home: Path, leave: Callable[[], None]) -> None:
    engine = Engine(tiny_llm(), Profile.load("own"), "idx")
    leave()
    engine.namespace("team").add([Document("d", TEXT)])
    assert engine.namespaces() == ["team"]
    assert documents(namespace_folder(home / "idx", "team"), home) == ["d"]
    nothing_elsewhere(home)


@pytest.mark.parametrize("prefix", ["", "~/", "./"])
def test_a_configuration(home: Path, leave: Callable[[], None], prefix: str) -> None:
    engine = Engine.from_profile(
        prefix + "own", prefix + "idx", model=prefix + "model", device="cpu"
    )
    leave()
    config = json.loads(json.dumps(engine.to_config()))
    engine.add([Document("d", TEXT)])
    again = Engine.from_config(config, device="cpu")
    assert again.ids() == ["d"]
    assert again.to_config() == config
    plan = again._plan()
    assert Path(plan.profile).samefile(home / "own")
    assert plan.model is not None
    assert Path(plan.model).samefile(home / "model")


def test_a_configuration_by_hand(home: Path, leave: Callable[[], None]) -> None:
    config = {"profile": "~/own", "model": "model", "path": "idx"}
    engine = Engine.from_config(config, device="cpu")
    leave()
    engine.add([Document("d", TEXT)])
    assert documents(home / "idx", home) == ["d"]
    assert Path(engine.to_config()["model"]).is_absolute()
    nothing_elsewhere(home)


def test_a_model_and_a_profile(home: Path, leave: Callable[[], None]) -> None:
    llm = TransformersModel.load("model", device="cpu")
    folder = find_profile("own")
    leave()
    assert Path(llm.name) == home / "model"
    assert folder == find_profile("~/own") == home / "own"
    assert bound_profile("smollm2-135m-instruct") == "smollm2-135m-instruct"


@pytest.mark.parametrize("prefix", ["", "~/"])
def test_copies_and_bundles(home: Path, prefix: str) -> None:
    engine = Engine(tiny_llm(), Profile.load("own"), "idx")
    engine.add([Document("d", TEXT)])
    engine.snapshot(prefix + "copy")
    assert engine.export_bundle(prefix + "all.bundle") == 1
    assert documents(home / "copy", home) == ["d"]
    assert engine.namespace("team").import_bundle(prefix + "all.bundle").added == ("d",)
    found = engine.retrieve("When was it finished?", mode="bm25")
    assert found.to_html(prefix + "page.html", engine=engine)
    assert (home / "page.html").is_file()
    nothing_elsewhere(home)


def test_nobodys_home(home: Path) -> None:
    assert bound("~nobody-of-this-name/idx") == home / "~nobody-of-this-name/idx"


def test_a_link_stays_one(home: Path) -> None:
    (home / "v1").mkdir()
    (home / "current").symlink_to("v1")
    assert bound("current") == home / "current"


NO_PATHS = [b"index", 5, "", "a\0b", "\ud800", object(), ["index"], True, 1.5]


@pytest.mark.parametrize("given", NO_PATHS)
def test_what_is_no_path(home: Path, given: object) -> None:
    llm = tiny_llm()
    profile = Profile.load(home / "own")
    wrong: Any = given
    for call in (
        lambda: Engine(llm, profile, wrong),
        lambda: Engine.from_profile(home / "own", wrong),
        lambda: Engine.from_profile(wrong),
        lambda: Engine(llm, profile).snapshot(wrong),
        lambda: Engine(llm, profile).import_bundle(wrong),
        lambda: read_files([], root=wrong),
    ):
        with pytest.raises(EndogenousError):
            call()
    if isinstance(given, str):
        assert list(read_files([wrong]).skipped) == [given]
    else:
        with pytest.raises(EndogenousError):
            read_files([wrong])
    assert {path.name for path in home.iterdir()} == {"model", "own"}


@pytest.mark.skipif(os.name != "posix", reason="names are bytes")
def test_a_folder_whose_name_is_no_utf_8(home: Path) -> None:
    """Tantivy cannot open one; that is said before anything is made, and is no damage."""
    with pytest.raises(IndexStorageError, match="no UTF-8"):
        Engine(tiny_llm(), Profile.load(home / "own"), "caf\udce9")
    assert {path.name for path in home.iterdir()} == {"model", "own"}
    Path("caf\udce9").mkdir()
    Path("link").symlink_to("caf\udce9")
    engine = Engine(tiny_llm(), Profile.load(home / "own"), "link")
    assert engine.add([Document("a", TEXT)]).added == ("a",)
