"""The union of legs and the token budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.fusion import fill_budget, fuse, lead_and_tail
from s3_retriever.retrieval.spans import Piece
from s3_retriever.settings import FusionSettings
from s3_retriever.storage.segments import Segment
from tests.storage.conftest import N_LATENTS, code

TEXT = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
SEGMENT = Segment.build("s", [code("a", TEXT), code("b", TEXT)], N_LATENTS)
SETTINGS = FusionSettings(paragraph_weight=0)


def piece(start: int, end: int, score: float = 1.0, doc: int = 0) -> Piece:
    return Piece(SEGMENT, SEGMENT.entries[doc], start, end, score)


def words(text: str) -> int:
    return len(text.split())


def test_relative_scores_add_up() -> None:
    legs = {
        "features": [piece(0, 5, 4.0), piece(11, 16, 3.0)],
        "bm25": [piece(17, 22, 10.0), piece(11, 16, 7.0)],
    }
    fused = fuse(legs, SETTINGS)
    assert [(f.piece.start, f.score) for f in fused] == [
        (11, pytest.approx(3 / 4 + 7 / 10)),
        (0, pytest.approx(1.0)),
        (17, pytest.approx(1.0)),
    ]
    assert fused[0].scores == {"features": 3.0, "bm25": 7.0}


def test_a_paragraph_lifts_its_sentences() -> None:
    text = "first words\n\nsecond words here"
    segment = Segment.build("p", [code("a", text)], N_LATENTS)

    def at(word: str, score: float) -> Piece:
        start = text.index(word)
        return Piece(segment, segment.entries[0], start, start + len(word), score)

    legs = {"bm25": [at("second", 4.0), at("first", 3.0), at("here", 2.0)]}
    fused = fuse(legs, FusionSettings(paragraph_weight=0.5))
    assert [(f.piece.text, f.score) for f in fused] == [
        ("second", pytest.approx(1.0 + 0.5)),
        ("first", pytest.approx(0.75 + 0.5 * 0.75)),
        ("here", pytest.approx(0.5 + 0.5)),
    ]


def test_overlapping_pieces_become_one() -> None:
    fused = fuse({"features": [piece(0, 10)], "bm25": [piece(6, 16)]}, SETTINGS)
    (one,) = fused
    assert (one.piece.start, one.piece.end) == (0, 16)


def test_the_same_range_of_another_document_is_another_piece() -> None:
    fused = fuse({"features": [piece(0, 5, doc=0)], "bm25": [piece(0, 5, doc=1)]}, SETTINGS)
    assert len(fused) == 2


def test_two_of_one_leg_count_once() -> None:
    legs = {"features": [piece(0, 5, 8.0), piece(6, 10, 4.0)], "bm25": [piece(0, 10)]}
    (one,) = fuse(legs, SETTINGS)
    assert one.score == pytest.approx(2.0)


def test_lead_and_tail() -> None:
    settings = FusionSettings(lead_tokens=2, tail_tokens=1)
    lead, tail = lead_and_tail([piece(11, 16)], settings)
    assert TEXT[lead.start : lead.end].strip() == "alpha beta"
    assert TEXT[tail.start : tail.end] == "kappa"
    assert lead_and_tail([piece(11, 16)], FusionSettings()) == []
    assert lead_and_tail([], settings) == []


def test_a_piece_that_does_not_fit_makes_room_for_smaller_ones() -> None:
    pieces = [piece(0, 10, 3.0), piece(11, 30, 2.0), piece(31, 35, 1.0)]
    fused = fuse({"features": pieces}, SETTINGS)
    taken = fill_budget(fused, 3, None, words)
    assert [t.piece.text for t in taken] == ["alpha beta", "zeta"]
    assert [t.piece.text for t in fill_budget(fused, None, 2, words)] == [
        "alpha beta",
        "gamma delta epsilon",
    ]


def test_the_first_piece_is_cut_after_a_word() -> None:
    fused = fuse({"features": [piece(0, len(TEXT))]}, SETTINGS)
    (taken,) = fill_budget(fused, 4, None, words)
    assert taken.piece.text == "alpha beta gamma delta"


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from([0, 1])), max_size=8
    ),
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from([0, 1])), max_size=8
    ),
    st.integers(1, 12),
)
def test_fused_pieces_never_overlap_and_fit(a: list, b: list, budget: int) -> None:
    def leg(ranges: list) -> list[Piece]:
        return [piece(s, min(s + n, len(TEXT)), doc=d) for s, n, d in ranges if s < len(TEXT)]

    fused = fuse({"features": leg(a), "bm25": leg(b)}, SETTINGS)
    for i, one in enumerate(fused):
        assert not any(one.piece.overlaps(other.piece) for other in fused[:i])
    taken = fill_budget(fused, budget, None, words)
    assert sum(words(t.piece.text) for t in taken) <= budget
