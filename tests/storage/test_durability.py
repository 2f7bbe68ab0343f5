"""Whatever happens to a writer, the last commit it acknowledged is there, whole and searchable."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import IndexLockedError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage import maintenance
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact, snapshot
from tests.storage.conftest import code
from tests.storage.test_index import found, put, texts
from tests.storage.writer_child import text_of

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


class Nursery:
    """Where writers come from, and what they have said."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.writer_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def end(self, folder: Path, seed: int, kind: str, how: signal.Signals) -> list[dict[str, Any]]:
        """Let a writer work a while, end it at a random moment; returns what it has said."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder} {seed} {kind}\n")
        self._process.stdin.flush()
        chance = random.Random(seed)
        said: list[dict[str, Any]] = []
        sender = None
        over = threading.Event()
        for line in self._process.stdout:
            said.append(json.loads(line))
            if said[-1]["is"] == "started":
                pid = said[-1]["pid"]
            # somewhere in the next few operations
            if sender is None and {s["is"] for s in said} >= {"started", "doing"}:
                wait = chance.uniform(0, 0.3)
                sender = threading.Thread(target=_signal_until, args=(over, pid, how, wait))
                sender.start()
            if said[-1]["is"] == "ended":
                over.set()
                status = said[-1]["status"]
                interrupted = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 130
                assert interrupted if how == signal.SIGINT else os.WTERMSIG(status) == how
                break
        return [s for s in said if s["is"] in ("doing", "done")]

    def close(self) -> None:
        """No more writers."""
        self._process.kill()
        self._process.wait()


def _signal_until(over: threading.Event, pid: int, how: signal.Signals, wait: float) -> None:
    """More than once: Python forgets an interrupt that comes while it ends an object."""
    while not over.wait(wait):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        wait = 2.0


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def check_after_death(
    folder: Path, card: ProfileCard, before: dict[str, str], said: list[dict[str, Any]]
) -> dict[str, str]:
    """The index is as the last acknowledged operation left it, or as the one under way would."""
    done = [s["after"] for s in said if s["is"] == "done"]
    allowed = [{i: text_of(n) for i, n in done[-1].items()} if done else before]
    if said[-1]["is"] == "doing":
        allowed.append({i: text_of(n) for i, n in said[-1]["after"].items()})
    index = Index(folder, card)  # read before anybody repairs anything
    here = texts(index)
    assert here in allowed
    for doc_id, text in here.items():
        assert found(index, text.split()[0]) == {doc_id}  # the search part knows it, too
    return here


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill-9", "ctrl-c"])
@pytest.mark.parametrize("kind", ["add", "replace", "delete", "compact", "repair"])
def test_ended_at_random_moments(
    tmp_path: Path, card: ProfileCard, nursery: Nursery, kind: str, how: signal.Signals
) -> None:
    """Ten kills on one index for each kind of work: fifty in all. Ctrl-C is tried less often."""
    folder = tmp_path / "index"
    put(Index(folder, card), code("doc0", text_of(0)))
    here = {"doc0": text_of(0)}
    for n in range(10 if how == signal.SIGKILL else 3):
        here = check_after_death(folder, card, here, nursery.end(folder, n, kind, how))
    put(Index(folder, card), code("last", "violets"))
    assert not list(problems(folder, card))  # what the dead left is cleared
    named = {r.name for r in Index(folder, card).snapshot.manifest.segments}
    assert {p.stem for p in (folder / "segments").iterdir()} == named
    assert len(list(folder.glob("tantivy*"))) == 1


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Makes every file that grows beyond so many bytes fail, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda n: resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@posix
@pytest.mark.parametrize("limit", [0, 100, 600, 1000, 3000, 10_000])
@pytest.mark.parametrize("operation", ["add", "delete", "compact"])
def test_a_disk_that_takes_no_more(
    tmp_path: Path,
    card: ProfileCard,
    file_limit: Callable[[int], None],
    limit: int,
    operation: str,
) -> None:
    folder = tmp_path / "index"
    index = Index(folder, card)
    put(index, code("a", "red roses"), code("b", "blue sky"))
    put(index, code("c", text_of(3)))
    before = texts(index)
    wanted = {
        "add": before | {"a": text_of(5)},
        "delete": {i: t for i, t in before.items() if i != "b"},
        "compact": before,
    }[operation]
    file_limit(limit)
    failed = False
    try:
        if operation == "add":
            put(index, code("a", text_of(5)))
        elif operation == "delete":
            put(index, delete=["b"])
        else:
            compact(index)
    except IndexStorageError:
        failed = True
    file_limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    state = before if failed else wanted
    for seen in (index, Index(folder, card)):
        assert texts(seen) == state
        for doc_id, text in state.items():
            assert doc_id in found(seen, text.split()[0])
    put(index, code("d", "violets"))  # room again
    assert texts(Index(folder, card)) == state | {"d": "violets"}
    assert not list(problems(folder, card))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_file_system(tmp_path: Path, card: ProfileCard) -> None:
    """A tmpfs of 600 kB, where one may be mounted; nothing is faked."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a file system")
    try:
        index = Index(small / "index", card)
        kept: dict[str, str] = {}
        with pytest.raises(IndexStorageError):
            for n in range(200):
                put(index, *(code(f"{n}-{m}", text_of(8 * n + m)) for m in range(8)))
                kept |= {f"{n}-{m}": text_of(8 * n + m) for m in range(8)}
        assert kept
        again = Index(small / "index", card)
        assert texts(again) == texts(index) == kept
        for doc_id, text in kept.items():
            assert doc_id in found(again, text.split()[0])
        del index, again
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


READ_ONLY = """
import ctypes, os, sys
from pathlib import Path

if os.getuid() == 0:  # nothing is read-only to root, until it gives that power up
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    assert libc.capget(header, sets) == 0
    for n in (0, 1):  # effective and permitted
        sets[n] &= ~(1 << 1)  # CAP_DAC_OVERRIDE
    assert libc.capset(header, sets) == 0

from s3_retriever.errors import IndexLockedError, IndexStorageError
from s3_retriever.storage import maintenance
from s3_retriever.storage.index import Index
from tests.storage.conftest import code, random_card
from tests.storage.test_index import found, texts

folder = Path(sys.argv[1])
card = random_card()
try:
    (folder / "try").write_text("x")
except OSError:
    pass
else:
    raise SystemExit("the folder is not read-only")
index = Index(folder, card)
assert texts(index) == {"a": "red roses"}, texts(index)
assert found(index, "roses") == {"a"}
try:
    with index.writing():
        raise SystemExit("wrote into a read-only folder")
except IndexStorageError as e:
    assert "not writable" in str(e), e
print("read", flush=True)
input()  # meanwhile somebody else commits
index.refresh()
assert texts(index) == {"a": "red roses", "b": "blue sky"}, texts(index)
assert found(index, "sky") == {"b"}
print("fine")
"""


@posix
@pytest.mark.skipif(
    sys.platform != "linux" and hasattr(os, "getuid") and os.getuid() == 0,
    reason="nothing is read-only to root here",
)
def test_a_read_only_folder_is_read(tmp_path: Path, card: ProfileCard) -> None:
    folder = tmp_path / "index"
    put(Index(folder, card), code("a", "red roses"))

    def protect() -> None:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)

    protect()
    reader = subprocess.Popen(
        [sys.executable, "-c", READ_ONLY, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "read\n"
        for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
            path.chmod(0o755)
        put(Index(folder, card), code("b", "blue sky"))
        protect()
        out, err = reader.communicate("\n", timeout=300)
        assert out.strip() == "fine", err
    finally:
        reader.kill()
        for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
            path.chmod(0o755)


def test_a_snapshot_opens_elsewhere(tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"), code("b", "blue sky"))
    put(index, delete=["b"])
    snapshot(index, tmp_path / "copy")
    put(index, code("c", "black coal"))
    copy = Index(tmp_path / "copy", card)
    assert texts(copy) == {"a": "red roses"}
    assert found(copy, "roses") == {"a"}
    assert not list(problems(tmp_path / "copy", card))
    put(copy, code("d", "violets"))
    assert set(texts(index)) == {"a", "c"}
    with pytest.raises(IndexStorageError, match="not empty"):
        snapshot(index, tmp_path / "copy")


@pytest.mark.parametrize("n_commits", [0, 1, 99])
def test_a_snapshot_of_a_folder_that_is_only_read(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, n_commits: int
) -> None:
    """While a process of somebody else commits so many times."""
    writer = Index(tmp_path / "index", card)
    put(writer, code("a", "red roses"), code("b", "blue sky"))
    left = n_commits

    def copy_and_meet_a_commit(source: str | Path, target: str | Path) -> None:
        nonlocal left
        shutil.copyfile(source, target)
        if left and "tantivy" in str(source):
            left -= 1
            put(writer, code(f"c{left}", "black coal"), delete=["a"])

    reader = Index(tmp_path / "index", card)
    monkeypatch.setattr(maintenance, "_copy_file", copy_and_meet_a_commit)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    if n_commits == 99:
        with pytest.raises(IndexLockedError, match="being written"):
            snapshot(reader, tmp_path / "copy")
        assert not list(tmp_path.glob("copy*"))
        return
    with writer.writing() if not n_commits else contextlib.nullcontext():  # whoever has the lock
        snapshot(reader, tmp_path / "copy")
    monkeypatch.undo()
    copy = Index(tmp_path / "copy", card)
    assert texts(copy) == texts(writer)
    assert found(copy, "sky") == {"b"}
    assert not list(problems(tmp_path / "copy", card))
