"""Tantivy as candidate index: words, features, filters, and the traps it is known for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import IndexStorageError
from s3_retriever.search.base import BlockHit
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.segments import Segment
from s3_retriever.text import whole_words
from tests.damage import overwrite
from tests.storage.conftest import HOOKPOINTS, N_LATENTS, code

TEXTS = {
    "roses": "Red roses need water and sun",
    "sky": "The sky is blue because of scattering",
    "tokyo": "東京 is a city. 日本の首都。",
    "cafe": "Café au lait in Köln",
}


@pytest.fixture
def segment() -> Segment:
    coded = [code(i, text, seed=n) for n, (i, text) in enumerate(TEXTS.items())]
    return Segment.build("00000001-aaaaaaaa", coded, N_LATENTS)


def with_segments(index: TantivyIndex, *segments: Segment) -> TantivyIndex:
    with index.changing() as writer:
        for segment in segments:
            writer.add(segment.blocks())
    return index.renewed()


def in_memory() -> TantivyIndex:
    return TantivyIndex.open(None, HOOKPOINTS, N_LATENTS)


@pytest.fixture
def index(segment: Segment) -> TantivyIndex:
    return with_segments(in_memory(), segment)


def ids(segment: Segment, hits: Sequence[BlockHit]) -> list[str]:
    return [segment.entries[segment.block_owner[h.number]].id for h in hits]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What do ROSES need?", ["roses"]),
        ("watering roses", ["roses"]),  # stems
        ("cafe koln", ["cafe"]),  # accents
        ("東", ["tokyo"]),
        ("首都", ["tokyo"]),
        ("blue OR (", ["sky"]),  # no query syntax
        ("", []),
        ("?!", []),
    ],
)
def test_words(index: TantivyIndex, segment: Segment, question: str, expected: list[str]) -> None:
    assert ids(segment, index.search_words(index.words(question), 3)) == expected


def test_words_respect_the_filter(index: TantivyIndex, segment: Segment) -> None:
    allowed = {segment.name: [segment.ordinals["cafe"]]}
    assert ids(segment, index.search_words(index.words("roses cafe sky"), 9, allowed)) == ["cafe"]
    assert index.search_words(index.words("roses"), 9, {}) == []


def test_a_filter_changes_no_score(index: TantivyIndex, segment: Segment) -> None:
    everything = {segment.name: list(range(len(segment.entries)))}
    words = index.words("roses sky")
    assert index.search_words(words, 9) == index.search_words(words, 9, everything)


def test_features_find_the_blocks_that_hold_them(index: TantivyIndex, segment: Segment) -> None:
    for entry in segment.entries:
        rows = slice(*entry.tokens)
        latent = int(segment.ids[rows][0, 1, 0])
        holders = {
            other.id
            for other in segment.entries
            if (segment.ids[slice(*other.tokens)][:, 1] == latent).any()
        }
        hits = index.search_features([{}, {latent: 1.0}], 9)
        assert set(ids(segment, hits)) == holders


def test_limits_of_zero_are_no_panic(index: TantivyIndex) -> None:
    assert index.search_words(index.words("roses"), 0) == []
    assert index.search_features([{}, {}], 5) == []


def test_deletes_by_document_and_by_segment(index: TantivyIndex, segment: Segment) -> None:
    with index.changing() as writer:
        writer.delete(segment.name, [segment.ordinals["sky"]])
    fewer = index.renewed()
    assert fewer.search_words(index.words("sky"), 3) == []
    assert fewer.segment_blocks(segment.name) == 3
    assert ids(segment, index.search_words(index.words("sky"), 3)) == ["sky"]  # never changes
    with index.changing() as writer:
        writer.delete_segment(segment.name)
    assert index.renewed().n_blocks() == 0
    assert index.renewed().segments() == []


def test_what_is_not_committed_is_forgotten(index: TantivyIndex, segment: Segment) -> None:
    with pytest.raises(RuntimeError), index.changing() as writer:
        writer.delete_segment(segment.name)
        raise RuntimeError
    assert index.renewed().n_blocks() == 4
    with index.changing() as writer:  # and another one can be had
        writer.delete(segment.name, [0])
    assert index.renewed().n_blocks() == 3


def test_documents_can_be_left_out(segment: Segment) -> None:
    empty = in_memory()
    with empty.changing() as writer:
        writer.add(segment.blocks(without={segment.ordinals["sky"]}))
    index = empty.renewed()
    assert index.n_blocks() == 3
    assert index.search_words(index.words("sky"), 3) == []


def test_tokenizers_are_there_after_reopening(tmp_path: Path, segment: Segment) -> None:
    with_segments(TantivyIndex.open(tmp_path, HOOKPOINTS, N_LATENTS, create=True), segment)
    again = TantivyIndex.open(tmp_path, HOOKPOINTS, N_LATENTS)
    assert ids(segment, again.search_words(again.words("rose"), 3)) == ["roses"]
    again = with_segments(
        again, Segment.build("00000002-bbbbbbbb", [code("x", "violets")], N_LATENTS)
    )
    assert again.search_words(again.words("violet"), 3)[0][:2] == ("00000002-bbbbbbbb", 0)


def test_nothing_is_made_by_opening(tmp_path: Path) -> None:
    with pytest.raises(IndexStorageError, match="doctor --repair"):
        TantivyIndex.open(tmp_path / "none", HOOKPOINTS, N_LATENTS)
    assert not list(tmp_path.iterdir())


def test_a_word_cut_by_a_block_is_found() -> None:
    start, end = whole_words("an endogenous retriever", 5, 7)
    assert "an endogenous retriever"[start:end] == "endogenous"


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_question_is_harmless(question: str) -> None:
    index = with_segments(in_memory(), Segment.build("s", [code("a", "red roses")], N_LATENTS))
    words = index.words(question.encode("utf-8", "replace").decode())
    assert len(index.search_words(words, 5)) <= 1


def test_damaged_files_are_reported_not_raised_raw(tmp_path: Path, segment: Segment) -> None:
    with_segments(TantivyIndex.open(tmp_path, HOOKPOINTS, N_LATENTS, create=True), segment)
    for path in tmp_path.glob("*.store"):
        content = bytearray(path.read_bytes())
        content[: len(content) // 2] = bytes(len(content) // 2)
        overwrite(path, bytes(content))
    with pytest.raises(IndexStorageError, match="doctor --repair"):
        again = TantivyIndex.open(tmp_path, HOOKPOINTS, N_LATENTS)
        again.search_words(again.words("roses"), 3)


def test_a_deleted_segment_is_gone_though_its_term_is_not(segment: Segment) -> None:
    """Both were committed at once, so Tantivy keeps one term dictionary for the two."""
    other = Segment.build("00000002-bbbbbbbb", [code("more", "Violets are blue")], N_LATENTS)
    index = with_segments(in_memory(), segment, other)
    assert index.segments() == [segment.name, other.name]
    with index.changing() as writer:
        writer.delete_segment(segment.name)
    assert index.renewed().segments() == [other.name]
