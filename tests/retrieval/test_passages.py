"""Passages around candidates, and their scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.candidates import Run
from s3_retriever.retrieval.fusion import FusedPiece
from s3_retriever.retrieval.passages import find_passages, pieces_from_passages
from s3_retriever.retrieval.spans import Piece
from s3_retriever.storage.segments import Segment
from tests.retrieval.pieces import SEGMENT, TEXT, candidate
from tests.storage.conftest import N_LATENTS, code

(ENTRY,) = SEGMENT.entries
BOTH = [candidate("finished"), candidate("yeast")]


def run(first: int, last: int) -> Run:
    return Run(SEGMENT, ENTRY, (ENTRY.tokens[0] + first, ENTRY.tokens[0] + last))


def token_of(text: str) -> int:
    return int(np.searchsorted(SEGMENT.starts[slice(*ENTRY.tokens)], TEXT.index(text)))


def test_a_passage_is_the_paragraph() -> None:
    (passage,) = find_passages([candidate("first keeper"), candidate("finished")], 256)
    assert TEXT[passage.start : passage.end] == TEXT.split("\n\n")[0]
    assert [TEXT[a:b] for a, b in passage.sentences] == [
        "Skerry Point\nThe lighthouse was finished in 1887.",
        "Its first keeper was Anna Lind.",
    ]


def test_a_long_paragraph_is_cut_around_its_candidate() -> None:
    (passage,) = find_passages([candidate("ferment for")], 8)
    assert TEXT[passage.start : passage.end] == "Flour and water ferment for a week."


@given(
    text=st.text(alphabet="ab .\n", min_size=1, max_size=200).filter(lambda t: not t.isspace()),
    at=st.integers(0, 199),
    length=st.integers(1, 30),
    most=st.integers(1, 64),
)
def test_passages_hold_their_candidate(text: str, at: int, length: int, most: int) -> None:
    start = at % len(text)
    end = min(len(text), start + length)
    segment = Segment.build("s", [code("a", text)], N_LATENTS)
    fused = [FusedPiece(Piece(segment, segment.entries[0], start, end, 1.0), 1.0, {})]
    for passage in find_passages(fused, most):
        assert 0 <= passage.start < passage.end <= len(text)
        assert passage.sentences[0][0] == passage.start
        assert passage.sentences[-1][1] == passage.end
        bounds = [edge for sentence in passage.sentences for edge in sentence]
        assert bounds == sorted(bounds)


def test_a_passage_is_worth_its_eight_best_tokens() -> None:
    n = ENTRY.tokens[1] - ENTRY.tokens[0]
    scores = np.zeros(n)
    bread = token_of("Bread")
    scores[:3] = 8.0  # 24 over the eight best: 3 a token
    scores[bread : bread + 8] = 2.0
    scores[bread + 8] = 1.0  # a ninth does not count
    pieces = pieces_from_passages(list(find_passages(BOTH, 256)), [run(0, n)], scores)
    assert [(p.text.split()[0], p.score) for p in pieces] == [
        ("Skerry", 3.0),
        ("Its", 3.0),
        ("Bread", 2.0),
        ("Flour", 2.0),
        ("Then", 2.0),
    ]


def test_only_candidates_count_and_worthless_passages_are_left_out() -> None:
    first = token_of("lighthouse")
    runs = [run(first, first + 2), run(token_of("Bread"), token_of("Bread") + 1)]
    scores = np.array([4.0, 2.0, -1.0])
    pieces = pieces_from_passages(list(find_passages(BOTH, 256)), runs, scores)
    assert [p.score for p in pieces] == [3.0, 3.0]
    assert {p.text.split()[0] for p in pieces} == {"Skerry", "Its"}
    assert pieces_from_passages(list(find_passages(BOTH, 256)), [], np.empty(0)) == []
