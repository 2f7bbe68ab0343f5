"""Writing an index to a folder that holds an earlier one, and folders that go while open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact, delete, update_metadata
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.persisting import persist
from tests.storage.conftest import code
from tests.storage.test_index import put, texts


@pytest.fixture
def index(card: ProfileCard) -> Index:
    index = Index(None, card)
    put(index, code("a", "red roses"), code("b", "blue sky"))
    return index


def test_again_and_again(index: Index, tmp_path: Path) -> None:
    for n in range(4):
        persist(index, tmp_path / "kept")
        assert texts(Index(tmp_path / "kept", index.card)) == texts(index)
        assert list(problems(tmp_path / "kept", index.card)) == []
        put(index, code(f"new {n}", "more words"))
    delete(index, texts(index))
    persist(index, tmp_path / "kept")
    assert texts(Index(tmp_path / "kept", index.card)) == {}


def test_who_reads_it_sees_the_new_state(index: Index, tmp_path: Path) -> None:
    persist(index, tmp_path / "kept")
    reader = Index(tmp_path / "kept", index.card)
    delete(index, ["a"])
    persist(index, tmp_path / "kept")
    assert texts(reader) == {"a": "red roses", "b": "blue sky"}
    reader.refresh()
    assert texts(reader) == {"b": "blue sky"}


def test_what_fails_leaves_the_earlier_one(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    persist(index, tmp_path / "kept")
    put(index, code("c", "black coal"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    with pytest.raises(IndexStorageError, match="No space"):
        persist(index, tmp_path / "kept")
    monkeypatch.undo()
    assert set(texts(Index(tmp_path / "kept", index.card))) == {"a", "b"}
    assert list(problems(tmp_path / "kept", index.card)) == []


def test_its_own_folder_is_left_as_it_is(card: ProfileCard, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"))
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "index").rglob("*"))
    persist(index, tmp_path / "index")
    persist(index, tmp_path / "x" / ".." / "index")
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "index").rglob("*")) == before


def test_other_things_are_not_replaced(
    index: Index, tmp_path: Path, make_card: Callable[..., ProfileCard]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear Lena,")
    with pytest.raises(IndexStorageError, match="not empty"):
        persist(index, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "Dear Lena,"
    put(Index(tmp_path / "other", make_card(1)), code("z", "another's"))
    with pytest.raises(IndexMismatchError):
        persist(index, tmp_path / "other")
    assert texts(Index(tmp_path / "other", make_card(1))) == {"z": "another's"}


WRITES: dict[str, Callable[[Index], Any]] = {
    "add": lambda index: put(index, code("b", "blue sky")),
    "replace": lambda index: put(index, code("a", "blue sky")),
    "delete": lambda index: delete(index, ["a"]),
    "update": lambda index: update_metadata(index, {"a": {"year": 1}}),
    "compact": compact,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("emptied", [False, True])
def test_a_folder_that_goes_while_open(
    card: ProfileCard, tmp_path: Path, write: Callable[[Index], Any], emptied: bool
) -> None:
    folder = tmp_path / "index"
    index = Index(folder, card)
    put(index, code("a", "red roses"))
    shutil.rmtree(folder)
    if emptied:
        folder.mkdir()
    with pytest.raises(IndexStorageError, match="is gone"):
        write(index)
    assert list(tmp_path.rglob("*")) == ([folder] if emptied else [])
    again = Index(folder, card)
    put(again, code("c", "black coal"))
    assert texts(again) == {"c": "black coal"}
    put(index, code("d", "a fourth"))  # the older one sees the new index
    again.refresh()
    assert texts(again) == texts(index) == {"c": "black coal", "d": "a fourth"}


def test_a_folder_that_goes_before_anything_is_in_it(card: ProfileCard, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", card)
    shutil.rmtree(tmp_path / "index")
    put(index, code("a", "red roses"))
    assert texts(Index(tmp_path / "index", card)) == {"a": "red roses"}
