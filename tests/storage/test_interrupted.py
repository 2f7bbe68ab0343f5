"""A commit that is broken off anywhere does not touch the next one of the same process."""

from __future__ import annotations

import contextlib
import linecache
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import s3_retriever
from s3_retriever.errors import IndexLockedError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.search.tantivy_writer import TantivyWriter
from s3_retriever.storage import files
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact
from s3_retriever.storage.manifest import Manifest
from tests.storage.conftest import code
from tests.storage.test_index import found, put, texts

ROOT = Path(__file__).parents[2]
PACKAGE = Path(s3_retriever.__file__).parent
WATCHED = {
    *(str(PACKAGE / "storage" / f"{name}.py") for name in ("index", "files", "folder", "lock")),
    str(PACKAGE / "storage" / "journal.py"),
    str(PACKAGE / "storage" / "manifest.py"),
    str(PACKAGE / "search" / "tantivy.py"),
}

Lines = list[tuple[str, int]]


def sample(folder: Path, card: ProfileCard) -> Index:
    """Some documents in several segments, one of them deleted."""
    index = Index(folder, card)
    put(index, code("a", "red roses"), code("b", "blue sky"))
    put(index, code("c", "black coal"), delete=["b"])
    put(index, code("d", "green grass"))
    return index


def change(index: Index) -> None:
    """Add, replace and delete, in a commit that joins segments, too."""
    put(index, code("e", "white snow"), code("a", "red tulips"), delete=["c"])


BEFORE = {"a": "red roses", "c": "black coal", "d": "green grass"}
AFTER = {"d": "green grass", "e": "white snow", "a": "red tulips"}


def check(index: Index, card: ProfileCard) -> None:
    """The next commits of the same process are whole for every other one, without repair."""
    state = texts(index)
    assert state in (BEFORE, AFTER)
    assert index.folder is not None
    put(index, code("f", "yellow sand"))
    state = state | {"f": "yellow sand"}
    for seen in (index, Index(index.folder, card)):
        assert texts(seen) == state
        for doc_id, text in state.items():
            assert found(seen, text.split()[1]) == {doc_id}
        for word in {t.split()[1] for t in (BEFORE | AFTER).values()} - {
            t.split()[1] for t in state.values()
        }:
            assert found(seen, word) == set()
        assert seen.candidates.n_blocks() == seen.snapshot.n_blocks
    assert not list(problems(index.folder, card))
    assert not (index.folder / "damaged").exists()  # all that was left was its own
    named = {r.name for r in index.snapshot.manifest.segments}
    assert {p.stem for p in (index.folder / "segments").iterdir()} == named


class Interrupt:
    """Ctrl-C at the n-th of the lines that a commit passes first."""

    def __init__(self, at: int | None) -> None:
        self.passed: dict[tuple[str, int], None] = {}
        self._at = at

    def __enter__(self) -> Interrupt:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            if place not in self.passed:
                self.passed[place] = None
                if len(self.passed) - 1 == self._at:
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._line


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_ctrl_c_at_any_line(tmp_path: Path, card: ProfileCard, part: int) -> None:
    """What was raised is kept, as an interactive session keeps it, with all of its frames."""
    sample(tmp_path / "sample", card)
    shutil.copytree(tmp_path / "sample", tmp_path / "whole")
    with Interrupt(None) as watch:
        change(Index(tmp_path / "whole", card))
    assert len(watch.passed) > 150
    for at in range(part, len(watch.passed), 4):
        folder = Path(shutil.copytree(tmp_path / "sample", tmp_path / f"n{at}"))
        index = Index(folder, card)
        kept: list[BaseException] = []
        try:
            with Interrupt(at) as watch:
                change(index)
        except KeyboardInterrupt as e:
            kept.append(e)
        try:
            check(index, card)
        except IndexLockedError:  # right before the lock was given back: it ends with the traceback
            place = list(watch.passed)[-1]
            assert place[0].endswith("lock.py") or "writer_lock" in linecache.getline(*place)
            del kept[:]
            check(index, card)
        shutil.rmtree(folder, ignore_errors=True)


WRITES = ["write_durably", "fsync", "replace", "sync_folder"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("function", WRITES)
def test_any_write_of_a_commit_fails(
    tmp_path: Path,
    card: ProfileCard,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    error: BaseException,
) -> None:
    sample(tmp_path / "sample", card)
    module = os if function in ("fsync", "replace") else files
    right = getattr(module, function)
    for nth in range(40):
        index = Index(Path(shutil.copytree(tmp_path / "sample", tmp_path / f"n{nth}")), card)
        calls = 0

        def fail(*arguments: Any, nth: int = nth) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth + 1:
                raise error
            return right(*arguments)

        monkeypatch.setattr(module, function, fail)
        if module is files:
            for user in ("manifest", "folder", "segments", "index", "journal"):
                name = f"s3_retriever.storage.{user}"
                if hasattr(sys.modules[name], function):
                    monkeypatch.setattr(sys.modules[name], function, fail)
        with contextlib.suppress(IndexStorageError, KeyboardInterrupt):
            change(index)
        monkeypatch.undo()
        reached = calls > nth
        check(index, card)
        if not reached:
            break
    assert not reached and nth


@pytest.mark.parametrize("step", ["commit", "begin", "add", "delete_segment", "close"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_search_parts_writer_fails(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    index = sample(tmp_path / "index", card)
    right = getattr(TantivyWriter, step)

    def fail(self: TantivyWriter, *arguments: Any) -> None:
        if after:
            right(self, *arguments)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(TantivyWriter, step, fail)
    with pytest.raises(KeyboardInterrupt):
        change(index)
    check(index, card)


class Ending:
    """Tantivy's writer; an interrupt comes when it has ended and nobody has noted that."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def wait_merging_threads(self) -> None:
        self._writer.wait_merging_threads()
        raise KeyboardInterrupt


def test_an_interrupt_right_after_the_search_parts_writer_ended(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = sample(tmp_path / "index", card)
    right = TantivyWriter._open
    monkeypatch.setattr(TantivyWriter, "_open", lambda self: Ending(right(self)))
    with pytest.raises(KeyboardInterrupt):
        change(index)
    monkeypatch.undo()
    check(index, card)


def test_a_second_commit_in_the_same_block(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller catches the first one's failure and goes on while it holds the lock."""
    index = sample(tmp_path / "index", card)
    write = Manifest.write

    def full(self: Manifest, folder: Path) -> None:
        monkeypatch.setattr(Manifest, "write", write)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    with index.writing():
        with pytest.raises(IndexStorageError, match="as it was before"):
            index.commit([code("x", "grey slate")])
        index.commit([code("y", "grey slate")])
    for seen in (index, Index(tmp_path / "index", card)):
        assert found(seen, "slate") == {"y"}
        assert seen.candidates.n_blocks() == seen.snapshot.n_blocks
    assert not list(problems(tmp_path / "index", card))


def test_an_index_in_memory(card: ProfileCard, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(None, card)
    put(index, code("a", "red roses"))
    publish = Index._publish

    def interrupted(self: Index, *arguments: Any) -> None:
        monkeypatch.setattr(Index, "_publish", publish)
        raise KeyboardInterrupt

    monkeypatch.setattr(Index, "_publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put(index, code("b", "blue sky"))
    put(index, code("c", "black coal"))
    assert texts(index) == {"a": "red roses", "c": "black coal"}
    assert index.candidates.n_blocks() == 2


def test_orphans_that_were_sealed_go_with_the_next_write(tmp_path: Path, card: ProfileCard) -> None:
    """As a former release left them."""
    index = sample(tmp_path / "index", card)
    with index.candidates.changing() as writer:
        segment = index.snapshot.live["a"][0]
        writer.add(b._replace(segment="00000099-00000000") for b in segment.blocks())
    IndexFolder = type(index._files)
    IndexFolder(tmp_path / "index").search_record.write(index.snapshot.manifest)
    assert list(problems(tmp_path / "index", card))
    put(Index(tmp_path / "index", card), code("f", "yellow sand"))
    assert not list(problems(tmp_path / "index", card))


@pytest.fixture
def file_limit() -> Iterator[Callable[[int | None], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda n: resource.setrlimit(
        resource.RLIMIT_FSIZE, (before[0] if n is None else n, before[1])
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_a_disk_that_is_full_for_a_while(
    tmp_path: Path, card: ProfileCard, file_limit: Callable[[int | None], None]
) -> None:
    """The manifest is the largest file of all, and the first that finds no room."""
    index = Index(tmp_path / "index", card)
    kept = {}
    for n in range(12):
        limit = [None, 700, 1500, 2500][n % 4]
        file_limit(limit)
        try:
            put(index, code(f"d{n}", f"word{n} of a text", number=n))
            kept[f"d{n}"] = f"word{n} of a text"
        except IndexStorageError:
            pass
        finally:
            file_limit(None)
        if n == 7:
            compact(index)
    put(index, code("d99", "word99 of a text"))
    kept["d99"] = "word99 of a text"
    said = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "index"), *kept],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert said.stdout.strip() == "fine", said.stderr
    assert texts(index) == kept


ELSEWHERE = """
import sys
from pathlib import Path
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from tests.storage.conftest import random_card
from tests.storage.test_index import found

index = Index(Path(sys.argv[1]), random_card())
for doc_id in sys.argv[2:]:
    assert found(index, "word" + doc_id[1:]) == {doc_id}, doc_id
assert index.candidates.n_blocks() == index.snapshot.n_blocks
assert not list(problems(Path(sys.argv[1]), random_card()))
print("fine")
"""
