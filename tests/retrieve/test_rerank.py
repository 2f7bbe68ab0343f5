"""The reading of candidates in context."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.config import RerankSettings
from s3_retriever.generator.generator import Generator
from s3_retriever.index.segment import Segment
from s3_retriever.retrieve.fusion import FusedPiece
from s3_retriever.retrieve.rerank import clamped_gains, find_passages, pieces_from_likelihood
from s3_retriever.retrieve.spans import Piece

from ..index.conftest import N_LATENTS, code

TEXT = (
    "Skerry Point\nThe lighthouse was finished in 1887. Its first keeper was Anna Lind.\n\n"
    "Bread\nSourdough needs no bought yeast. Flour and water ferment for a week. Then it is baked."
)
SEGMENT = Segment.build("s", [code("a", TEXT)], N_LATENTS)


def candidate(text: str) -> FusedPiece:
    start = TEXT.index(text)
    return FusedPiece(Piece(SEGMENT, SEGMENT.entries[0], start, start + len(text), 1.0), 1.0, {})


def test_clamped_gains_by_hand() -> None:
    values = np.array([[-1.0, -6.0], [-3.0, -2.0], [-5.0, -4.0]])  # means -3 and -4
    assert clamped_gains(values).tolist() == [1.0, 1.0, 0.0]


def test_one_candidate_gains_nothing() -> None:
    assert clamped_gains(np.array([[-1.0, -2.0]])).tolist() == [0.0]


def test_a_passage_is_the_paragraph() -> None:
    (passage,) = find_passages(
        [candidate("first keeper"), candidate("finished")], 9, RerankSettings()
    )
    assert TEXT[passage.start : passage.end] == TEXT.split("\n\n")[0]
    assert [TEXT[a:b] for a, b in passage.sentences] == [
        "Skerry Point\nThe lighthouse was finished in 1887.",
        "Its first keeper was Anna Lind.",
    ]


def test_a_long_paragraph_is_read_around_its_candidate() -> None:
    settings = RerankSettings(passage_tokens=8)
    (passage,) = find_passages([candidate("ferment for")], 9, settings)
    assert TEXT[passage.start : passage.end] == "Flour and water ferment for a week."


def test_the_window_bounds_what_is_read() -> None:
    both = [candidate("finished"), candidate("yeast")]
    assert len(find_passages(both, 9, RerankSettings())) == 2
    assert len(find_passages(both, 9, RerankSettings(window=20))) == 1
    assert len(find_passages(both, 9, RerankSettings(passages=1))) == 1
    assert len(find_passages(both, 1500, RerankSettings())) == 1  # two copies exceed the window


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
    for passage in find_passages(fused, 9, RerankSettings(passage_tokens=most)):
        assert 0 <= passage.start < passage.end <= len(text)
        assert passage.sentences[0][0] == passage.start
        assert passage.sentences[-1][1] == passage.end
        bounds = [edge for sentence in passage.sentences for edge in sentence]
        assert bounds == sorted(bounds)


def test_the_generator_prefers_what_answers(generator: Generator) -> None:
    pieces = pieces_from_likelihood(
        generator,
        "Who was the first keeper of the lighthouse?",
        find_passages([candidate("yeast"), candidate("finished")], 9, RerankSettings()),
    )
    assert {"lighthouse" in p.text or "keeper" in p.text for p in pieces[:2]} == {True}
    assert all(p.score > 0 for p in pieces)
    assert [p.score for p in pieces] == sorted((p.score for p in pieces), reverse=True)
