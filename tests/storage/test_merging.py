"""Many small commits: few segments, the same index as one commit makes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import SegmentRecord
from s3_retriever.storage.merging import (
    FAN,
    LARGEST,
    SMALLEST,
    LiveSegment,
    taken_along,
    worn_out,
)
from s3_retriever.types import EncodedDocument
from tests.damage import overwrite
from tests.storage.conftest import code
from tests.storage.test_index import found, put, texts


def segment(n_tokens: int, n_live: int | None = None) -> LiveSegment:
    record = SegmentRecord(name="00000001-00000000", sha256="0" * 64, n_bytes=0, n_tokens=n_tokens)
    return LiveSegment(record, n_tokens if n_live is None else n_live)


def document(n: int) -> EncodedDocument:
    return code(f"d{n}", f"the fox number{n} jumps over group{n % 7} of dogs", seed=n)


def test_a_few_small_ones_are_left() -> None:
    assert taken_along([segment(10)] * (FAN - 2), 10) == 0
    assert taken_along([segment(10)] * (FAN - 1), 10) == FAN - 1


def test_a_large_one_is_never_taken() -> None:
    before = [segment(10)] * 5 + [segment(LARGEST)] + [segment(10)] * 3
    assert taken_along(before, 10) == 3
    assert taken_along([segment(10)] * 9, LARGEST) == 0


def test_a_merged_one_meets_its_like() -> None:
    tier = [segment(SMALLEST)] * (FAN - 1)
    assert taken_along([*tier, *[segment(SMALLEST // 2)] * 3], SMALLEST // 2) == 6


def test_what_is_mostly_deleted_is_written_anew() -> None:
    assert worn_out(segment(10, 4))
    assert not worn_out(segment(10, 5))
    assert not worn_out(segment(2 * LARGEST, 4))


@given(st.lists(st.integers(1, 3 * SMALLEST), min_size=1, max_size=400))
def test_segments_stay_few_whatever_is_added(sizes: list[int]) -> None:
    segments: list[LiveSegment] = []
    written = 0
    for size in sizes:
        taken = taken_along(segments, size)
        kept = segments[: len(segments) - taken]
        merged = size + sum(s.n_live for s in segments[len(kept) :])
        written += merged
        segments = [*kept, segment(merged)]
    full = sum(s.record.n_tokens >= LARGEST for s in segments)
    tiers = 1
    while SMALLEST * FAN ** (tiers - 1) < LARGEST:
        tiers += 1
    assert len(segments) - full <= (FAN - 1) * tiers
    assert full <= sum(sizes) / LARGEST
    # the lowest tier is written anew up to its own size each time, every other one once
    assert written <= len(sizes) * SMALLEST + (tiers + FAN) * sum(sizes)


@pytest.fixture(params=["memory", "disk"])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, card: ProfileCard
) -> Callable[[str], Index]:
    return lambda name: Index(None if request.param == "memory" else tmp_path / name, card)


def test_many_small_commits_equal_one(make: Callable[[str], Index]) -> None:
    one, many = make("one"), make("many")
    documents = [document(n) for n in range(120)]
    put(one, *documents)
    for item in documents:
        put(many, item)
    gone = [f"d{n}" for n in range(120) if n % 3]
    for doc_id in gone:
        put(many, delete=[doc_id])
    put(one, delete=gone)
    assert len(many.snapshot.segments) <= 8
    assert list(texts(many)) == list(texts(one))
    assert (many.snapshot.df == one.snapshot.df).all()
    for word in ("fox", "number33", "group5", "number34"):
        assert found(many, word) == found(one, word)
    assert many.candidates.n_blocks() == one.candidates.n_blocks()
    if many.folder:
        assert not list(problems(many.folder, many.card))
        assert list(texts(Index(many.folder, many.card))) == list(texts(one))


def test_replacing_over_and_over_takes_no_room(make: Callable[[str], Index]) -> None:
    index = make("one")
    for n in range(60):
        put(index, code("same", f"version {n} of a text", seed=n))
    assert texts(index) == {"same": "version 59 of a text"}
    assert len(index.snapshot.segments) == 1
    assert sum(r.n_tokens for r in index.snapshot.manifest.segments) <= 10


def test_a_damaged_segment_is_left_for_doctor(tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path / "index", card)
    put(index, document(0))
    (path,) = (tmp_path / "index" / "segments").glob("*.safetensors")
    overwrite(path, path.read_bytes().replace(b"number0", b"number9"))
    index = Index(tmp_path / "index", card)
    for n in range(1, 12):
        put(index, document(n))
    assert path.exists()
    assert found(index, "number11") == {"d11"}
    assert any("damaged" in problem for problem in problems(tmp_path / "index", card))


@pytest.mark.slow
def test_five_thousand_adds_and_deletes(tmp_path: Path, card: ProfileCard) -> None:
    """Opening, asking and files are within twice of the same documents added at once."""
    documents = [document(n) for n in range(5000)]
    gone = [f"d{n}" for n in range(0, 5000, 4)]
    many, one = Index(tmp_path / "many", card), Index(tmp_path / "one", card)
    for n, item in enumerate(documents):
        put(many, item)
        if n % 4 == 3:
            put(many, delete=[f"d{n - 3}"])
    put(one, *documents)
    put(one, delete=gone)
    assert list(texts(many)) == list(texts(one))
    measured = {}
    for name in ("many", "one"):
        opened, asked = [], []
        for _ in range(15):
            started = time.perf_counter()
            index = Index(tmp_path / name, card)
            _ = index.snapshot.live
            opened.append(time.perf_counter() - started)
            search = index.view.search
            for n in range(0, 5000, 250):
                started = time.perf_counter()
                hits = search.search_words(search.words(f"fox number{n + 1} group3"), 32)
                index.view.tokens([hit.tokens for hit in hits])
                asked.append(time.perf_counter() - started)
        files = sum(path.is_file() for path in (tmp_path / name).rglob("*"))
        measured[name] = (statistics.median(opened), statistics.median(asked), files)
    print(measured)  # noqa: T201
    for ours, theirs in zip(measured["many"], measured["one"], strict=True):
        assert ours <= 2 * theirs
