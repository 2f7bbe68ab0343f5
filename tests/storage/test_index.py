"""The index as a whole: commits, upserts, deletes, reopening, locks, crashes between steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from s3_retriever.errors import IndexLockedError, IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.search.tantivy_writer import TantivyWriter
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.segments import Segment
from s3_retriever.types import EncodedDocument
from tests.storage.conftest import code


def put(index: Index, *coded: EncodedDocument, delete: Sequence[str] = ()) -> None:
    with index.writing():
        index.commit(list(coded), delete=delete)


def texts(index: Index) -> dict[str, str]:
    return {i: segment.text(entry) for i, (segment, entry) in index.snapshot.live.items()}


def wrong(index: Index) -> list[str]:
    """What doctor would say."""
    return list(problems(index.folder, index.card)) if index.folder else []


def found(index: Index, word: str) -> set[str]:
    """Ids of live documents with a block that holds ``word``, by the search part."""
    search = index.view.search
    return {hit.tokens.doc_id for hit in search.search_words(search.words(word), 100)}


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, tmp_path: Path, card: ProfileCard) -> Index:
    return Index(None if request.param == "memory" else tmp_path / "index", card)


def test_add_replace_delete(index: Index) -> None:
    put(index, code("a", "red roses"), code("b", "blue sky"))
    assert texts(index) == {"a": "red roses", "b": "blue sky"}
    put(index, code("a", "green grass"), code("c", "black coal"))
    assert texts(index) == {"a": "green grass", "b": "blue sky", "c": "black coal"}
    assert found(index, "roses") == set()
    assert found(index, "grass") == {"a"}
    put(index, delete=["b", "unknown"])
    assert texts(index) == {"a": "green grass", "c": "black coal"}
    assert found(index, "sky") == set()
    assert not wrong(index)


def test_df_counts_live_tokens_only(index: Index) -> None:
    items = [code(i, f"text of {i} with words", seed=n) for n, i in enumerate("abc")]
    put(index, *items)
    put(index, code("a", "other", seed=9), delete=["b"])
    expected = np.zeros_like(index.snapshot.df)
    for item in (items[2], code("a", "other", seed=9)):
        for hookpoint in range(expected.shape[0]):
            np.add.at(expected[hookpoint], item.ids[:, hookpoint].ravel(), 1)
    assert np.array_equal(index.snapshot.df, expected)


def test_another_process_sees_the_same(tmp_path: Path, card: ProfileCard) -> None:
    path = tmp_path / "index"
    index = Index(path, card)
    put(index, code("a", "red roses", colour="red"), code("b", "blue sky"))
    put(index, delete=["b"])
    again = Index(path, card)
    assert texts(again) == {"a": "red roses"}
    assert again.snapshot.live["a"][1].metadata == {"colour": "red"}
    assert found(again, "roses") == {"a"}


def test_a_reader_sees_commits_on_refresh(tmp_path: Path, card: ProfileCard) -> None:
    writer = Index(tmp_path / "index", card)
    put(writer, code("a", "red roses"))
    reader = Index(tmp_path / "index", card)
    before = reader.snapshot
    put(writer, code("b", "blue sky"), delete=["a"])
    assert texts(reader) == {"a": "red roses"}
    reader.refresh()
    assert texts(reader) == {"b": "blue sky"}
    assert found(reader, "sky") == {"b"}
    segment, entry = before.live["a"]  # a question under way keeps its snapshot
    assert segment.text(entry) == "red roses"


def test_a_reader_overtaken_by_a_writer_looks_again(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is read, then a writer replaces the segment it names."""
    writer = Index(tmp_path / "index", card)
    put(writer, code("a", "red roses"))
    read = Manifest.read
    reads = []

    def slowly(folder: Path) -> Manifest | None:
        manifest = read(folder)
        reads.append(manifest)
        if len(reads) == 1:
            monkeypatch.setattr(Manifest, "read", read)
            put(writer, code("a", "blue sky"))
            monkeypatch.setattr(Manifest, "read", slowly)
        return manifest

    monkeypatch.setattr(Manifest, "read", slowly)
    assert texts(Index(tmp_path / "index", card)) == {"a": "blue sky"}
    assert len(reads) == 4


def test_files_of_emptied_segments_go(tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"))
    put(index, code("a", "blue sky"))
    assert len(list((tmp_path / "index" / "segments").glob("*.safetensors"))) == 1
    assert len(index.snapshot.segments) == 1


def test_what_is_committed_stays_if_the_rest_fails(index: Index) -> None:
    put(index, code("a", "red roses"))
    with pytest.raises(RuntimeError), index.writing():
        index.commit([code("b", "blue sky")])
        raise RuntimeError("half-way")
    assert set(texts(index)) == {"a", "b"}
    assert not wrong(index)


STEPS = {
    "segment": (Segment, "write"),
    "blocks": (TantivyWriter, "add"),
    "search part": (TantivyWriter, "commit"),
    "manifest": (Manifest, "write"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_before_the_manifest_leaves_the_last_commit(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "index"
    index = Index(path, card)
    put(index, code("a", "red roses"), code("other", "green grass"))

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*STEPS[step], crash)
    with pytest.raises(KeyboardInterrupt):
        put(index, code("a", "changed"), code("b", "blue sky"))
    monkeypatch.undo()
    for seen in (index, Index(path, card)):
        assert texts(seen) == {"a": "red roses", "other": "green grass"}
        assert found(seen, "roses") == {"a"}  # also by the search part

    again = Index(path, card)
    put(again, code("c", "black coal"))  # the next writer clears what was left
    assert set(texts(again)) == {"a", "other", "c"}
    assert len(list((path / "segments").glob("*.safetensors"))) == 2
    assert found(again, "sky") == set()
    assert found(again, "roses") == {"a"}
    assert again.candidates.n_blocks() == again.snapshot.n_blocks
    assert not wrong(again)


@pytest.mark.parametrize("what", ["delete", "delete_segment", "commit"])
def test_a_crash_after_the_manifest_keeps_the_commit(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    index = Index(tmp_path, card)
    put(index, code("a", "red roses"), code("b", "green grass"))
    put(index, code("c", "black coal"))
    write = Manifest.write

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def written(self: Manifest, folder: Path) -> None:
        write(self, folder)
        monkeypatch.setattr(TantivyWriter, what, crash)

    monkeypatch.setattr(Manifest, "write", written)
    with pytest.raises(KeyboardInterrupt):
        put(index, code("d", "blue sky"), delete=["a", "c"])
    monkeypatch.undo()
    for seen in (index, Index(tmp_path, card)):
        assert set(texts(seen)) == {"b", "d"}
        assert found(seen, "sky") == {"d"}
    again = Index(tmp_path, card)
    put(again, code("e", "white snow"))
    assert not wrong(again)
    assert again.candidates.n_blocks() == 3


def test_a_crash_in_the_first_commit(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Manifest, "write", crash)
    with pytest.raises(KeyboardInterrupt):
        put(Index(tmp_path, card), code("a", "red roses"))
    monkeypatch.undo()
    again = Index(tmp_path, card)
    assert texts(again) == {}
    put(again, code("b", "blue sky"))
    assert found(again, "roses") == set()
    assert not wrong(again)


HOLD = """
import sys, time
import filelock
lock = filelock.FileLock(sys.argv[1] + "/writer.lock")
lock.acquire()
open(sys.argv[1] + "/writer.txt", "w").write("process 4711 on elsewhere")
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_told_who_writes(tmp_path: Path, card: ProfileCard) -> None:
    path = tmp_path / "index"
    index = Index(path, card)
    put(index, code("a", "red roses"))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexLockedError, match="process 4711 on elsewhere"):
            put(index, code("b", "blue sky"))
        assert texts(Index(path, card)) == {"a": "red roses"}  # reading goes on
    finally:
        holder.kill()
        holder.wait()
    put(index, code("b", "blue sky"))  # the lock died with its holder
    assert set(texts(index)) == {"a", "b"}


def test_another_profile_is_refused_by_name(
    tmp_path: Path, make_card: Callable[..., ProfileCard]
) -> None:
    put(Index(tmp_path / "index", make_card(0)), code("a", "red roses"))
    with pytest.raises(IndexMismatchError, match=r"test-0.*test-1"):
        Index(tmp_path / "index", make_card(1))


def test_a_stranger_folder_is_refused(tmp_path: Path, card: ProfileCard) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(IndexStorageError, match="not empty"):
        Index(tmp_path, card)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder(tmp_path: Path, card: ProfileCard) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexStorageError):
        Index(tmp_path / "file", card)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root writes")
def test_an_unwritable_folder(card: ProfileCard) -> None:
    with pytest.raises(IndexStorageError, match="cannot create"):
        Index(Path("/proc/self/index"), card)


def test_a_full_disk_leaves_the_index_as_it_was(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IndexStorageError, match="No space left"):
        put(index, code("b", "blue sky"))
    monkeypatch.undo()
    assert texts(index) == {"a": "red roses"}
    assert texts(Index(tmp_path / "index", card)) == {"a": "red roses"}
    assert len(list((tmp_path / "index" / "segments").glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m | {"schema_version": 99},
        lambda m: m | {"segments": [m["segments"][0] | {"name": "../../etc/passwd"}]},
        lambda m: m | {"segments": [m["segments"][0] | {"n_bytes": 3}]},
        lambda m: m | {"segments": "none"},
        lambda m: {},
        lambda m: [],
    ],
)
def test_a_crafted_manifest_is_refused(
    tmp_path: Path, card: ProfileCard, change: Callable[[dict], object]
) -> None:
    put(Index(tmp_path, card), code("a", "red roses"))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(change(json.loads(manifest.read_text()))))
    with pytest.raises(IndexStorageError):
        Index(tmp_path, card)
