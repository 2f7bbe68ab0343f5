"""The view of an index passes the suites for code stores and searches, however it came to be."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.storage.index import Index
from s3_retriever.storage.snapshot import Snapshot
from s3_retriever.storage.view import View
from s3_retriever.testing.documents import encode_randomly, sample_documents
from s3_retriever.testing.search import CandidateSearchContract, MakeSearch
from s3_retriever.testing.storage import CodeStoreContract, MakeStore
from s3_retriever.types import EncodedDocument, TokenRange
from tests.storage.conftest import random_profile

MakeView = Callable[[Sequence[EncodedDocument], Collection[str]], View]


def filled(
    folder: Path | None,
    parts: Sequence[Sequence[EncodedDocument]],
    deleted: Collection[str] = (),
) -> Index:
    """An index of one commit a part, and one that deletes."""
    index = Index(folder, random_profile().card)
    with index.writing():
        for part in parts:
            index.commit(part)
        if deleted:
            index.commit([], delete=deleted)
    return index


def in_memory(documents: Sequence[EncodedDocument], deleted: Collection[str]) -> View:
    return filled(None, [documents] if documents else [], deleted).view


def from_disk(folder: Path, documents: Sequence[EncodedDocument], deleted: Collection[str]) -> View:
    """Read by another object than the one that wrote it."""
    index = filled(folder, [documents[:5], documents[5:]] if documents else [], deleted)
    return Index(folder, index.card).view


def after_many_changes(
    folder: Path, documents: Sequence[EncodedDocument], deleted: Collection[str]
) -> View:
    """A segment a document; each was another one before, and others stood between them."""
    others = [
        encode_randomly(d.document.id, "roses in a former text", lang="en") for d in documents
    ]
    between = [encode_randomly(f"between {n}", "block sky w7", flag=1) for n in range(3)]
    index = filled(folder, [others, between] if documents else [])
    with index.writing():
        for document in documents:
            index.commit([document, *between])
    gone = [d.document.id for d in between]
    with index.writing():
        index.commit([], delete=[*deleted, *gone])
    return index.view


@pytest.fixture(scope="class", params=["in memory", "from disk", "after many changes"])
def make_view(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeView:
    if request.param == "in memory":
        return in_memory
    make = from_disk if request.param == "from disk" else after_many_changes
    return lambda documents, deleted: make(tmp_path_factory.mktemp("index"), documents, deleted)


class TestCodeStore(CodeStoreContract):
    @pytest.fixture(scope="class")
    def make_store(self, make_view: MakeView) -> MakeStore:
        return make_view


class TestCandidateSearch(CandidateSearchContract):
    @pytest.fixture(scope="class")
    def make_search(self, make_view: MakeView) -> MakeSearch:
        return lambda documents, deleted: make_view(documents, deleted).search


LENGTHS = (1, 63, 64, 65, 200, 7, 128)
MANY = [encode_randomly(f"d{n}", " ".join(["w"] * n), seed=n, odd=n % 2) for n in LENGTHS]


@given(
    deleted=st.sets(st.sampled_from([d.document.id for d in MANY])),
    cuts=st.sets(st.integers(1, len(MANY) - 1)),
    n_tokens=st.integers(1, 400),
    odd=st.sampled_from([None, 0, 1]),
)
def test_any_part_of_any_index_is_scanned_whole(
    deleted: set[str], cuts: set[int], n_tokens: int, odd: int | None
) -> None:
    at = [0, *sorted(cuts), len(MANY)]
    parts = [MANY[first:last] for first, last in itertools.pairwise(at)]
    view = filled(None, parts, deleted).view
    condition = None if odd is None else {"odd": odd}
    expected = {
        TokenRange(d.document.id, first, min(first + BLOCK_TOKENS, len(d)))
        for d in MANY
        for first in range(0, len(d), BLOCK_TOKENS)
        if d.document.id not in deleted and odd in (None, d.document.metadata["odd"])
    }
    seen = []
    for part in view.scan_blocks(condition, n_tokens):
        ranges = view.block_ranges(part.blocks.tolist())
        batch = view.tokens(ranges)
        assert np.array_equal(part.ids, batch.ids)
        assert np.array_equal(part.activations, batch.activations)
        assert part.lengths.tolist() == [len(r) for r in ranges]
        seen += ranges
    assert len(seen) == len(expected)
    assert set(seen) == expected
    assert {*view.sample_blocks(condition, 99).ranges} == expected


def test_a_scan_copies_nothing_that_lies_together(tmp_path: Path) -> None:
    """One document of a large index was deleted: the parts without it are read where they are."""
    index = filled(tmp_path, [MANY], ["d1"])
    (segment,) = index.snapshot.segments.values()
    parts = list(index.view.scan_blocks(None, 128))
    assert len(parts) > 2
    assert all(np.shares_memory(part.ids, segment.ids) for part in parts)


class TestCost:
    """Of a question: nothing is done for every document, unless a filter is given."""

    @pytest.fixture
    def view(self) -> View:
        view = filled(None, [MANY[:3], MANY[3:]], ["d1"]).view
        view.merged([TokenRange("d200", 0, 1), TokenRange("d7", 0, 1)])
        view.sample_blocks(None, 1)
        assert view.whole(most_blocks=0) is None
        return view  # that was asked before: once for a commit is all right

    def test_without_a_filter(self, view: View, monkeypatch: pytest.MonkeyPatch) -> None:
        def looked_at(*_: object) -> None:
            raise AssertionError("every document was looked at")

        class Closed(dict[str, object]):
            __iter__ = keys = values = items = looked_at  # type: ignore[assignment]

        monkeypatch.setitem(vars(view.snapshot), "live", Closed(view.snapshot.live))
        monkeypatch.setattr(Snapshot, "matching", looked_at)
        ranges = view.merged([TokenRange("d200", 0, 64), TokenRange("d7", 0, 3)])
        assert len(view.tokens(ranges)) == 67
        assert len(view.characters(ranges)) == 2
        assert view.whole(most_blocks=2) is None
        assert view.search.search_words(["w"], 3) and view.search.search_features([{1: 1.0}, {}], 3)
        assert len(view.sample_blocks(None, 2).ranges) == 2

    def test_a_filter_is_applied_once(self, view: View, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        matching = Snapshot.matching

        def counted(self: Snapshot, predicate: Callable[..., bool]) -> dict[str, list[int]]:
            calls.append(predicate)
            return matching(self, predicate)

        monkeypatch.setattr(Snapshot, "matching", counted)
        for condition, n in (({"odd": 1}, 1), ({"odd": True}, 2), ({"odd": 1}, 3)):
            for _ in range(2):
                view.document_ids(condition)
                view.whole(condition, most_blocks=9)
                view.sample_blocks(condition, 2)
                list(view.scan_blocks(condition, 64))
                view.search.search_words(["w"], 3, dict(condition))
                view.search.search_features([{1: 1.0}, {}], 3, condition)
            assert len(calls) == n


def test_a_filter_of_unknown_values_is_asked_anew(tmp_path: Path) -> None:
    """Whether it is the one of before cannot be told."""

    view = filled(None, [MANY]).view
    years = np.array([0])
    assert view.document_ids({"odd": {"$in": years}}) == ["d64", "d200", "d128"]
    years[0] = 1
    assert view.document_ids({"odd": {"$in": years}}) == ["d1", "d63", "d65", "d7"]


def test_any_number_of_threads_may_ask_first() -> None:
    """What a view finds out once, it may be asked for by many at the same time."""
    view = filled(None, [sample_documents()[:4], sample_documents()[4:]], ["sky"]).view
    conditions: list[dict[str, object]] = [
        {"flag": 1},
        {"flag": True},
        {"lang": "en"},
        {"lang": "de"},
    ]
    expected = [["roses", "one"], [], ["roses", "long", "block"], ["Köln/ü?", "more"]]
    start = threading.Barrier(8)
    wrong: list[object] = []

    def ask(n: int) -> None:
        start.wait()
        for i in range(200):
            which = (n + i) % 4
            if (found := view.document_ids(conditions[which])) != expected[which]:
                wrong.append(found)
            merged = view.merged([TokenRange("more", 0, 5), TokenRange("roses", 0, 5)])
            if [r.doc_id for r in merged] != ["roses", "more"]:
                wrong.append(merged)
            if len(view.sample_blocks(None, 99)) != view.n_tokens:
                wrong.append("sample")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
