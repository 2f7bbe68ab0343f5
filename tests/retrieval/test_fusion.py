"""The union of legs and the token budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.budget import joined
from s3_retriever.retrieval.fusion import FusedSpan, SpanUnion, fill_budget
from s3_retriever.retrieval.legs.lead_tail import LeadTail
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import FusionSettings, RetrieveSettings
from s3_retriever.storage.view import View
from s3_retriever.types import SpanRef
from tests.retrieval.texts import context_of, ref_of, view_of
from tests.storage.conftest import code

TEXT = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
VIEW = view_of(code("a", TEXT), code("b", TEXT))
WEIGHTS = {"features": 1.0, "bm25": 1.0}


def piece(start: int, end: int, score: float = 1.0, doc: str = "a") -> ScoredSpan:
    return ScoredSpan(SpanRef(doc, start, end), score)


def fuse(
    legs: Mapping[str, Sequence[ScoredSpan]], *, view: View = VIEW, paragraph_weight: float = 0
) -> list[FusedSpan]:
    union = SpanUnion(view)
    for leg, spans in legs.items():
        union.add(leg, spans)
    return union.ranked(WEIGHTS, paragraph_weight)


def words(text: str) -> int:
    return len(text.split())


def test_relative_scores_add_up() -> None:
    legs = {
        "features": [piece(0, 5, 4.0), piece(11, 16, 3.0)],
        "bm25": [piece(17, 22, 10.0), piece(11, 16, 7.0)],
    }
    fused = fuse(legs)
    assert [(f.ref.start, f.score) for f in fused] == [
        (11, pytest.approx(3 / 4 + 7 / 10)),
        (0, pytest.approx(1.0)),
        (17, pytest.approx(1.0)),
    ]
    assert fused[0].scores == {"features": 3.0, "bm25": 7.0}


def test_a_paragraph_lifts_its_sentences() -> None:
    view = view_of(code("a", "first words\n\nsecond words here"))
    scored = {"second": 4.0, "first": 3.0, "here": 2.0}
    legs = {"bm25": [ScoredSpan(ref_of(view, "a", word), n) for word, n in scored.items()]}
    fused = fuse(legs, view=view, paragraph_weight=0.5)
    assert [(view.text(f.ref), f.score) for f in fused] == [
        ("second", pytest.approx(1.0 + 0.5)),
        ("first", pytest.approx(0.75 + 0.5 * 0.75)),
        ("here", pytest.approx(0.5 + 0.5)),
    ]


def test_a_span_over_two_paragraphs_counts_where_it_begins() -> None:
    text = "first words\n\nsecond words here\n\nthird"
    view = view_of(code("a", text))
    over = [ScoredSpan(ref_of(view, "a", "words\n\nsecond"), 1.0)]
    inner = [ScoredSpan(ref_of(view, "a", word), 4.0) for word in ("here", "third")]
    scored = [ScoredSpan(ref_of(view, "a", "second words"), 2.0), *inner]
    fused = fuse({"features": over, "bm25": scored}, view=view, paragraph_weight=0.5)
    assert {view.text(f.ref): f.score for f in fused} == {
        "words\n\nsecond words": pytest.approx(1.5 * 1.5),  # alone in the first
        "here": pytest.approx(1.5),
        "third": pytest.approx(1.5),
    }


def test_overlapping_pieces_become_one() -> None:
    fused = fuse({"features": [piece(0, 10)], "bm25": [piece(6, 16)]})
    (one,) = fused
    assert (one.ref.start, one.ref.end) == (0, 16)


def test_the_same_range_of_another_document_is_another_piece() -> None:
    fused = fuse({"features": [piece(0, 5, doc="a")], "bm25": [piece(0, 5, doc="b")]})
    assert len(fused) == 2


def test_two_of_one_leg_count_once() -> None:
    legs = {"features": [piece(0, 5, 8.0), piece(6, 10, 4.0)], "bm25": [piece(0, 10)]}
    (one,) = fuse(legs)
    assert one.score == pytest.approx(2.0)


def test_lead_and_tail() -> None:
    def proposed(fusion: FusionSettings, found: Sequence[ScoredSpan]) -> list[str]:
        settings = RetrieveSettings(fusion=fusion)
        context = context_of(VIEW, weights=WEIGHTS, settings=settings, found=found)
        return [VIEW.text(span.ref) for span in LeadTail().propose(context)]

    settings = FusionSettings(lead_tokens=2, tail_tokens=1)
    lead, tail = proposed(settings, [piece(11, 16)])
    assert lead.strip() == "alpha beta"
    assert tail == "kappa"
    assert proposed(FusionSettings(), [piece(11, 16)]) == []
    assert proposed(settings, []) == []


def test_a_piece_that_does_not_fit_makes_room_for_smaller_ones() -> None:
    pieces = [piece(0, 10, 3.0), piece(11, 30, 2.0), piece(31, 35, 1.0)]
    fused = fuse({"features": pieces})
    taken = fill_budget(VIEW, fused, 3, None, words)
    assert [VIEW.text(t.ref) for t in taken] == ["alpha beta", "zeta"]
    assert [VIEW.text(t.ref) for t in fill_budget(VIEW, fused, None, 2, words)] == [
        "alpha beta",
        "gamma delta epsilon",
    ]


def test_empty_lines_between_pieces_are_paid_for() -> None:
    def count(text: str) -> int:
        return len(text.split()) + text.count("\n")

    pieces = [piece(0, 10, 3.0), piece(11, 16, 2.0), piece(31, 35, 1.0)]
    fused = fuse({"features": pieces})
    for budget, n in ((2, 1), (4, 1), (5, 2), (7, 2), (8, 3)):  # 2, 2 + 1, 2 + 1
        taken = fill_budget(VIEW, fused, budget, None, count)
        assert len(taken) == n
        assert count(joined(VIEW.text(t.ref) for t in taken)) <= budget


def test_the_first_piece_is_cut_after_a_word() -> None:
    fused = fuse({"features": [piece(0, len(TEXT))]})
    (taken,) = fill_budget(VIEW, fused, 4, None, words)
    assert VIEW.text(taken.ref) == "alpha beta gamma delta"


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from("ab")), max_size=8),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from("ab")), max_size=8),
    st.integers(1, 12),
)
def test_fused_pieces_never_overlap_and_fit(a: list, b: list, budget: int) -> None:
    def leg(ranges: list) -> list[ScoredSpan]:
        return [piece(s, min(s + n, len(TEXT)), doc=d) for s, n, d in ranges if s < len(TEXT)]

    fused = fuse({"features": leg(a), "bm25": leg(b)})
    for i, one in enumerate(fused):
        assert not any(one.ref.overlaps(other.ref) for other in fused[:i])
    taken = fill_budget(VIEW, fused, budget, None, words)
    assert sum(words(VIEW.text(t.ref)) for t in taken) <= budget


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["features", "bm25"]),
            st.integers(0, 50),
            st.integers(1, 20),
            st.floats(0.1, 9),
            st.sampled_from("ab"),
        ),
        max_size=12,
    )
)
def test_adding_legs_one_by_one_is_joining_all_at_once(found: list) -> None:
    """By the definition: chains of spans that overlap, with the best score of each leg."""
    legs: dict[str, list[ScoredSpan]] = {"features": [], "bm25": []}
    for leg, start, length, score, doc in found:
        legs[leg].append(piece(start, min(start + length, len(TEXT)), score, doc))
    union = SpanUnion(VIEW)
    for leg, spans in legs.items():
        union.add(leg, spans)
        union.ranked(WEIGHTS, 0.8)  # asking in between changes nothing
    expected: dict[SpanRef, dict[str, float]] = {}
    for leg, spans in legs.items():
        for span in spans:
            ref, scores = span.ref, {leg: span.score}
            for other in [other for other in expected if other.overlaps(span.ref)]:
                ref = SpanRef(ref.doc_id, min(ref.start, other.start), max(ref.end, other.end))
                for name, value in expected.pop(other).items():
                    scores[name] = max(value, scores.get(name, value))
            expected[ref] = scores
    assert dict(union.spans()) == expected
