"""Passages around candidates, and their scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.legs.passages import Passages
from s3_retriever.retrieval.passages import find_passages
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.types import SpanRef, TokenRange
from tests.retrieval.texts import TEXT, VIEW, candidate, context_of, view_of
from tests.storage.conftest import code

WHOLE = VIEW.whole_document("a")
BOTH = [candidate("finished"), candidate("yeast")]


def token_of(text: str) -> int:
    return int(np.searchsorted(VIEW.tokens([WHOLE]).starts, TEXT.index(text)))


def proposed(candidates: list[TokenRange], scores: np.ndarray) -> list[ScoredSpan]:
    """What the leg says of the passages around :data:`BOTH`."""
    context = context_of(
        VIEW,
        weights={"features": 1.0, "bm25": 1.0},
        found=[ScoredSpan(item.ref, item.score) for item in BOTH],
        candidates=candidates,
        scores=scores,
    )
    return list(Passages().propose(context))


def test_a_passage_is_the_paragraph() -> None:
    (passage,) = find_passages(VIEW, [candidate("first keeper"), candidate("finished")], 256)
    assert VIEW.text(passage.ref) == TEXT.split("\n\n")[0]
    assert [TEXT[a:b] for a, b in passage.sentences] == [
        "Skerry Point\nThe lighthouse was finished in 1887.",
        "Its first keeper was Anna Lind.",
    ]


def test_a_long_paragraph_is_cut_around_its_candidate() -> None:
    (passage,) = find_passages(VIEW, [candidate("ferment for")], 8)
    assert VIEW.text(passage.ref) == "Flour and water ferment for a week."


@given(
    text=st.text(alphabet="ab .\n", min_size=1, max_size=200).filter(lambda t: not t.isspace()),
    at=st.integers(0, 199),
    length=st.integers(1, 30),
    most=st.integers(1, 64),
)
def test_passages_hold_their_candidate(text: str, at: int, length: int, most: int) -> None:
    start = at % len(text)
    end = min(len(text), start + length)
    fused = [FusedSpan(SpanRef("a", start, end), 1.0, {})]
    for passage in find_passages(view_of(code("a", text)), fused, most):
        assert 0 <= passage.ref.start < passage.ref.end <= len(text)
        assert passage.sentences[0][0] == passage.ref.start
        assert passage.sentences[-1][1] == passage.ref.end
        bounds = [edge for sentence in passage.sentences for edge in sentence]
        assert bounds == sorted(bounds)


def test_a_passage_is_worth_its_eight_best_tokens() -> None:
    scores = np.zeros(len(WHOLE))
    bread = token_of("Bread")
    scores[:3] = 8.0  # 24 over the eight best: 3 a token
    scores[bread : bread + 8] = 2.0
    scores[bread + 8] = 1.0  # a ninth does not count
    found = proposed([WHOLE], scores)
    assert [(VIEW.text(span.ref).split()[0], span.score) for span in found] == [
        ("Skerry", 3.0),
        ("Its", 3.0),
        ("Bread", 2.0),
        ("Flour", 2.0),
        ("Then", 2.0),
    ]


def test_only_candidates_count_and_worthless_passages_are_left_out() -> None:
    first = token_of("lighthouse")
    bread = token_of("Bread")
    ranges = [TokenRange("a", first, first + 2), TokenRange("a", bread, bread + 1)]
    found = proposed(ranges, np.array([4.0, 2.0, -1.0]))
    assert [span.score for span in found] == [3.0, 3.0]
    assert {VIEW.text(span.ref).split()[0] for span in found} == {"Skerry", "Its"}
    assert proposed([], np.empty(0)) == []
