"""Deleting by filter, new metadata, compaction, namespaces."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import InputError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage import merging
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact, delete, delete_where, update_metadata
from s3_retriever.storage.namespaces import check_namespace, namespace_folder, namespaces_in
from tests.storage.conftest import code, random_card
from tests.storage.test_index import found, put, texts
from tests.storage.writer_child import text_of


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, tmp_path: Path, card: ProfileCard) -> Index:
    index = Index(None if request.param == "memory" else tmp_path / "index", card)
    put(index, code("a", "red roses", year=1990), code("b", "blue sky", year=2001, lang="en"))
    put(index, code("c", "black coal", lang="de"))
    return index


def test_delete_counts_what_was_there(index: Index) -> None:
    assert delete(index, ["a", "nobody", "a"]) == 1
    assert set(texts(index)) == {"b", "c"}


def test_delete_where(index: Index) -> None:
    assert delete_where(index, {"year": {"$gt": 1980}}) == 2
    assert set(texts(index)) == {"c"}
    assert found(index, "roses") == set()
    assert delete_where(index, {"year": 3}) == 0


def test_an_empty_filter_deletes_nothing(index: Index) -> None:
    with pytest.raises(InputError, match="every document"):
        delete_where(index, {})
    assert len(texts(index)) == 3


def test_metadata_changes_and_codes_stay(index: Index) -> None:
    segment, entry = index.snapshot.live["b"]
    before = segment.encoded(entry)
    assert update_metadata(index, {"b": {"lang": "fr"}, "nobody": {}}) == 1
    segment, entry = index.snapshot.live["b"]
    after = segment.encoded(entry)
    assert entry.metadata == {"lang": "fr"}
    assert after.document.text == "blue sky"
    assert np.array_equal(before.ids, after.ids)
    assert np.array_equal(before.activations, after.activations)
    assert found(index, "sky") == {"b"}
    assert index.snapshot.matching(lambda m: m.get("lang") == "en") == {}


def test_metadata_that_cannot_be_stored(index: Index) -> None:
    with pytest.raises(InputError, match=r"document b.*JSON"):
        update_metadata(index, {"a": {"year": 1}, "b": {"what": object()}})
    assert index.snapshot.live["a"][1].metadata == {"year": 1990}


def test_compaction_reclaims_space_and_changes_nothing_else(
    tmp_path: Path, card: ProfileCard
) -> None:
    index = Index(tmp_path, card)
    for n in range(12):
        put(index, *(code(f"d{m}", text_of(20 * n + m), seed=m) for m in range(n, n + 4)))
    put(index, delete=["d3", "d5"])
    before, df, order = texts(index), index.snapshot.df, list(index.snapshot.live)
    size = sum(p.stat().st_size for p in tmp_path.rglob("*"))
    done = compact(index)
    assert done.segments[1] == 1 < done.segments[0]
    assert done.n_bytes[1] < done.n_bytes[0]
    assert sum(p.stat().st_size for p in tmp_path.rglob("*")) < size
    for seen in (index, Index(tmp_path, card)):
        assert texts(seen) == before
        assert list(seen.snapshot.live) == order
        assert (seen.snapshot.df == df).all()
        for doc_id, text in before.items():
            assert doc_id in found(seen, text.split()[0])
    assert not list(problems(tmp_path, card))
    generation = index.snapshot.manifest.generation
    compact(index)  # is compact already
    assert index.snapshot.manifest.generation == generation


@pytest.mark.parametrize("n_kept", [0, 2])
def test_compaction_forgets_segments_that_were_dropped(
    tmp_path: Path, card: ProfileCard, n_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "FAN", 99)  # or commits would join them
    index = Index(tmp_path, card)
    ids = [f"d{n}" for n in range(9)]  # so many that Tantivy has joined them
    for doc_id in ids:
        put(index, code(doc_id, text_of(3)))  # a segment each
    put(index, delete=ids[n_kept:])
    assert not any(record.deleted for record in index.snapshot.manifest.segments)
    assert n_kept == 0 or index.candidates.n_dead_blocks()  # without any, Tantivy drops it all
    compact(index, target_tokens=1)
    for seen in (index, Index(tmp_path, card)):
        assert seen.candidates.n_dead_blocks() == 0
        assert list(texts(seen)) == ids[:n_kept]
    assert not list(problems(tmp_path, card))
    generation = index.snapshot.manifest.generation
    compact(index, target_tokens=1)
    assert index.snapshot.manifest.generation == generation


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 90), st.booleans()), max_size=14),
    st.integers(20, 120),
)
@settings(max_examples=25)
def test_compaction_of_any_history(steps: list[tuple[int, int, bool]], target: int) -> None:
    index = Index(None, random_card())
    for number, (doc, n_words, gone) in enumerate(steps):
        text = " ".join(f"w{number}x{n}" for n in range(n_words))
        put(index, *([] if gone else [code(f"d{doc}", text)]), delete=[f"d{doc}"] if gone else [])
    before = texts(index)
    compact(index, target)
    assert texts(index) == before
    assert list(texts(index)) == list(before)
    assert not any(r.deleted for r in index.snapshot.manifest.segments)
    assert index.candidates.n_blocks() == index.snapshot.n_blocks


def test_a_question_under_way_outlives_compaction(tmp_path: Path, card: ProfileCard) -> None:
    """Of another process, even: it holds the files open, whatever becomes of their names."""
    writer = Index(tmp_path, card)
    put(writer, code("a", "red roses"), code("b", "blue sky"), code("c", "black coal"))
    put(writer, code("b", "green grass"), delete=["a"])
    reader = Index(tmp_path, card)
    view = reader.view
    compact(writer)
    assert list(tmp_path.glob("tantivy*")) == [tmp_path / "tantivy-00000003"]
    segment, entry = view.snapshot.live["b"]
    assert segment.text(entry) == "green grass"
    assert len(view.candidates.search_words(view.candidates.words("grass"), 5)) == 1
    reader.refresh()
    assert texts(reader) == {"c": "black coal", "b": "green grass"}
    assert found(reader, "grass") == {"b"}


def test_readers_go_on_while_the_index_is_compacted(tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path, card)
    put(index, code("stays", "violets"))
    wrong: list[object] = []
    over = threading.Event()

    def read() -> None:
        reader = Index(tmp_path, card)
        while not over.is_set():
            try:
                reader.refresh()
                if found(reader, "violets") != {"stays"}:
                    wrong.append("not found")
            except BaseException as e:
                wrong.append(e)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(15):
        put(index, code("other", text_of(n)), code("stays", "violets", seed=n))
        compact(index)
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", ".", "a.b", "ä", "con:", "x" * 65, "-a", 3])
def test_names_that_are_no_namespace(name: object) -> None:
    with pytest.raises(InputError, match="namespace"):
        check_namespace(name)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "a", "b", "a-b"]),
            st.sampled_from(["x", "y"]),
            st.sampled_from(["add", "delete", "compact"]),
        ),
        max_size=14,
    )
)
@settings(max_examples=12)
def test_namespaces_never_leak(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str | None, str, str]]
) -> None:
    """What is found in a namespace is what was put into it, whatever happens in the others."""
    root = tmp_path_factory.mktemp("namespaces")
    card = random_card()
    expected: dict[str | None, dict[str, str]] = {n: {} for n in (None, "a", "b", "a-b")}
    indexes = {n: Index(namespace_folder(root, n), card) for n in expected}
    for number, (name, doc_id, what) in enumerate(steps):
        if what == "add":
            text = f"shared own{number}"
            put(indexes[name], code(doc_id, text))
            expected[name][doc_id] = text
        elif what == "delete":
            put(indexes[name], delete=[doc_id])
            expected[name].pop(doc_id, None)
        else:
            compact(indexes[name])
    for name, documents in expected.items():
        for seen in (indexes[name], Index(namespace_folder(root, name), card)):
            assert texts(seen) == documents
            assert found(seen, "shared") == set(documents)
    used = {name for name, _, _ in steps if name} & set(namespaces_in(root))
    assert set(namespaces_in(root)) == used
