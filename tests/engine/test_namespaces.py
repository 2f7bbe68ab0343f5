"""Namespaces: engines around one model, each made again from what it says of itself."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import IndexLockedError, IndexStorageError, InputError
from s3_retriever.storage.lock import writer_lock
from s3_retriever.storage.namespaces import server_lock
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


@pytest.fixture
def engine(places: tuple[Path, Path], tmp_path: Path) -> Engine:
    """With a namespace that holds a document."""
    profile, model = places
    engine = Engine.from_profile(profile, tmp_path / "index", model=str(model), device="cpu")
    engine.add([Document("d", TEXT)])
    engine.namespace("team").add([Document("d", TEXT)])
    return engine


def folders(engine: Engine) -> list[str]:
    return [path.name for path in (Path(str(engine.documents.location)) / "namespaces").iterdir()]


def test_a_deleted_namespace_is_gone_and_nothing_else(engine: Engine) -> None:
    before = engine.namespace("team")
    assert engine.delete_namespace("team")
    assert (engine.namespaces(), folders(engine)) == ([], [])
    assert engine.ids() == ["d"]
    with pytest.raises(IndexStorageError, match="gone"):
        before.add([Document("late", TEXT)])
    assert folders(engine) == []
    assert not engine.delete_namespace("team")
    engine.namespace("team").add([Document("new", TEXT)])
    assert engine.namespace("team").ids() == ["new"]


def test_a_namespace_in_memory_is_deleted(engine: Engine) -> None:
    engine = Engine(engine.llm, engine.profile)
    engine.namespace("team").add([Document("d", TEXT)])
    assert engine.delete_namespace("team")
    assert engine.namespace("team").ids() == []


def test_a_namespace_that_is_being_written_or_served_stays(engine: Engine) -> None:
    folder = Path(str(engine.documents.location))
    with writer_lock(folder / "namespaces" / "team"), pytest.raises(IndexLockedError, match="writ"):
        engine.delete_namespace("team")
    (folder / "jobs").mkdir()
    with server_lock(folder / "jobs"), pytest.raises(IndexLockedError, match="server"):
        engine.delete_namespace("team")
    assert engine.namespace("team").ids() == ["d"]
    assert engine.delete_namespace("team")


def test_what_a_kill_leaves_is_no_namespace(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        (path / "manifest.json").unlink()  # begun
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            engine.delete_namespace("team")
    (left,) = folders(engine)
    assert left.startswith("team.deleted-")
    assert engine.documents.namespaces() == []
    with pytest.raises(InputError):
        engine.namespace(left)
    engine.delete_namespace("other")
    assert folders(engine) == []


def test_links_are_not_followed(engine: Engine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    place = Path(str(engine.documents.location)) / "namespaces" / "team"
    (place / "notes").symlink_to(other)
    assert engine.delete_namespace("team")
    assert (other / "precious").exists()
    place.symlink_to(other)
    with pytest.raises(IndexStorageError, match="link"):
        engine.delete_namespace("team")
    assert (other / "precious").exists()


def test_who_waits_to_write_meanwhile_writes_nothing(engine: Engine) -> None:
    writer, failed = engine.namespace("team"), []
    folder = Path(str(engine.documents.location))

    def add() -> None:
        try:
            writer.add([Document("late", TEXT)])
        except IndexStorageError as e:
            failed.append(e)

    with writer_lock(folder / "namespaces" / "team"):
        thread = threading.Thread(target=add)
        thread.start()
        (folder / "namespaces" / "team").rename(folder / "namespaces" / f"team.deleted-{'0' * 16}")
    thread.join()
    assert failed
    assert engine.documents.namespaces() == []
