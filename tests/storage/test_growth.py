"""Whatever an index holds, it takes few descriptors, and an add costs the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage import merging
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact
from s3_retriever.storage.mapping import map_file
from s3_retriever.storage.repair import repair
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot
from tests.storage.conftest import code, random_card
from tests.storage.test_index import found, put, texts

resource = pytest.importorskip("resource", reason="needs POSIX limits")
ROOT = Path(__file__).parents[2]


def document(n: int) -> Any:
    return code(f"d{n}", f"the fox number{n} jumps over group{n % 7} of dogs", seed=n)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 90 segments, as former releases left them, or as large ones stay."""
    folder = tmp_path_factory.mktemp("once") / "many"
    index = Index(folder, random_card())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "FAN", 999)
        for n in range(90):
            put(index, document(n))
    assert len(index.snapshot.segments) == 90
    return folder


@pytest.fixture
def many(once: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(once, tmp_path / "many"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@needs_proc
def test_segments_hold_no_descriptors(many: Path, card: ProfileCard) -> None:
    before = descriptors()
    index = Index(many, card)
    assert descriptors() - before < 5
    assert found(index, "number89") == {"d89"}
    put(index, document(90))
    assert descriptors() - before < 8


@needs_proc
@pytest.mark.parametrize(
    "work",
    [
        lambda folder, card: put(Index(folder, card), document(100)),
        lambda folder, card: compact(Index(folder, card), target_tokens=100),
        lambda folder, card: list(problems(folder, card)),
        lambda folder, card: repair(folder, card),
        lambda folder, card: put(Index(folder, card), delete=["d5"]),
    ],
    ids=["add", "compact", "doctor", "repair", "delete"],
)
def test_what_is_done_with_few_descriptors(many: Path, card: ProfileCard, work: Any) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 40, limits[1]))
    try:
        work(many, card)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not list(problems(many, card))


STARVED = """
import os, resource, sys
from pathlib import Path
from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact
from s3_retriever.storage.repair import repair
from tests.storage.conftest import code, random_card
from tests.storage.test_index import put

folder, card = Path(sys.argv[1]), random_card()
before = {p.name: p.read_bytes() for p in folder.rglob("*.safetensors")}
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
works = [
    lambda: Index(folder, card),
    lambda: list(problems(folder, card)),
    lambda: repair(folder, card),
    lambda: compact(Index(folder, card)),
    lambda: put(Index(folder, card), code("new", "green grass")),
]
Index(folder, card)  # imports what is imported late
refused = 0
for work in works:
    for left in range(12):
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for descriptor in held[:left]:
            os.close(descriptor)
        said = None
        try:
            found = work()
            said = " ".join(found) if isinstance(found, list) else None
        except IndexStorageError as e:
            said = str(e)
        for descriptor in held[left:]:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        if said:
            refused += 1
            assert "damage" not in said and "doctor" not in said, said
            # of a thread that died, Tantivy may not say why
            assert any(w in said for w in ("open files", "os error 24", "writer was killed")), said
assert refused > 5, refused
assert not list(problems(folder, card))
assert "lost" not in str(repair(folder, card).lost), "lost"
print("fine", refused)
"""


@needs_proc
def test_too_many_open_files_are_no_damage(tmp_path: Path, card: ProfileCard) -> None:
    """With no descriptor left, with one, with two and so on."""
    index = Index(tmp_path / "index", card)
    for n in range(4):
        put(index, document(n))
    put(index, delete=["d1"])
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(tmp_path / "index")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
    )
    assert done.stdout.startswith("fine"), done.stderr
    assert texts(Index(tmp_path / "index", card)).keys() >= {"d0", "d2", "d3"}


def test_a_mapping_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)
    with path.open("rb") as file:
        mapped = map_file(file)
    path.unlink()
    part = mapped[256:512]
    del mapped
    assert part.tobytes() == bytes(range(256))
    assert not part.flags.writeable
    assert np.array_equal(part[::2], np.arange(0, 256, 2))


def test_an_empty_file_is_no_segment(tmp_path: Path) -> None:
    (tmp_path / "s.safetensors").touch()
    with pytest.raises(IndexStorageError, match="damaged"):
        Segment.open(tmp_path / "s.safetensors")


@pytest.mark.parametrize("n", [40, 400])
def test_an_add_looks_at_no_other_document(
    tmp_path: Path, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """But for those of small segments that it writes anew: not at one of a large one."""
    monkeypatch.setattr(merging, "SMALLEST", 32)
    monkeypatch.setattr(merging, "LARGEST", 128)
    index = Index(tmp_path / "index", card)
    put(index, *(document(m) for m in range(n)))
    large = next(iter(index.snapshot.segments.values()))
    seen: list[str] = []
    for name in ("encoded", "text", "bounds"):
        right = getattr(Segment, name)

        def noting(self: Segment, entry: Any, right: Any = right) -> Any:
            if self is large:
                seen.append(entry.id)
            return right(self, entry)

        monkeypatch.setattr(Segment, name, noting)
    for m in range(20):
        put(index, document(n + m))
    assert seen == []
    manifest = (tmp_path / "index" / "manifest.json").stat().st_size
    assert manifest < 4_000
    assert len(json.loads((tmp_path / "index" / "manifest.json").read_text())["segments"]) < 12


def test_live_documents_are_a_mapping(card: ProfileCard) -> None:
    index = Index(None, card)
    expected: dict[str, str] = {}
    for n in range(30):
        put(index, code(f"d{n % 12}", f"text number{n}"), delete=[f"d{n % 5}"] if n % 3 else [])
        if n % 3:
            expected.pop(f"d{n % 5}", None)
        expected.pop(f"d{n % 12}", None)
        expected[f"d{n % 12}"] = f"text number{n}"
    live = index.snapshot.live
    assert list(live) == list(expected) == [entry.id for _, entry in live.values()]
    assert len(live) == len(expected) == len(list(live.items()))
    assert {i: s.text(e) for i, (s, e) in live.items()} == expected
    assert all(live[i][1].id == i for i in live)
    assert "nobody" not in live and live.get("nobody") is None
    assert isinstance(index.snapshot, Snapshot)
    assert index.snapshot.n_tokens == sum(entry.n_tokens for _, entry in live.values())
    assert index.snapshot.n_blocks == sum(entry.n_blocks for _, entry in live.values())


THOUSANDS = """
import os, resource, sys, time
from pathlib import Path
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from tests.storage.conftest import random_card
from tests.storage.test_growth import document
from tests.storage.test_index import found, put

resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
folder = Path(sys.argv[1])
index, before = Index(folder, random_card()), time.process_time()
for n in range(1, 5001):
    put(index, document(n))
    if n % 1000 == 0:
        now = time.process_time()
        print(n, f"{now - before:.1f} ms an add,", len(os.listdir("/proc/self/fd")), "descriptors")
        before = now
assert found(index, "number5000") == {"d5000"}
assert len(index.snapshot.live) == 5000
assert not list(problems(folder, random_card()))
"""


@needs_proc
@pytest.mark.slow
def test_thousands_of_adds_with_few_descriptors(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", THOUSANDS, str(tmp_path / "index")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    print(done.stdout)  # noqa: T201
    assert done.returncode == 0, done.stderr
