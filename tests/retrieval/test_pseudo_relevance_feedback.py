"""The second hop by the words of the best evidence."""

from __future__ import annotations

import math

import pytest

from s3_retriever.retrieval.candidates import Run
from s3_retriever.retrieval.fusion import FusedPiece
from s3_retriever.retrieval.legs.pseudo_relevance_feedback import new_words, pieces_from_feedback
from s3_retriever.retrieval.spans import Piece
from s3_retriever.search.tantivy import CandidateIndex
from s3_retriever.settings import FeedbackSettings
from s3_retriever.storage.segments import Segment
from tests.search.test_tantivy import with_segments
from tests.storage.conftest import HOOKPOINTS, N_LATENTS, code

FILM = "Aurora is a film by Mirelle Vasko. It was shot in Oslo."
DIRECTOR = "Mirelle Vasko was born to the weaver Ada Vasko."
CITY = "Oslo has harbours."
BREAD = "Bread needs flour."
QUESTION = "Who is the mother of the director of the film Aurora?"


@pytest.fixture
def segment() -> Segment:
    texts = {"film": FILM, "director": DIRECTOR, "city": CITY, "bread": BREAD}
    return Segment.build("s", [code(i, text) for i, text in texts.items()], N_LATENTS)


@pytest.fixture
def index(segment: Segment) -> CandidateIndex:
    return with_segments(CandidateIndex.open(None, HOOKPOINTS, N_LATENTS), segment)


def piece(segment: Segment, number: int, text: str, score: float = 1.0) -> FusedPiece:
    entry = segment.entries[number]
    start = segment.text(entry).index(text)
    return FusedPiece(Piece(segment, entry, start, start + len(text), score), score, {})


def test_new_words_are_rare_and_not_asked(index: CandidateIndex, segment: Segment) -> None:
    first = piece(segment, 0, "Aurora is a film by Mirelle Vasko.").piece
    found = new_words(index, QUESTION, first, FeedbackSettings())
    # two of four blocks hold each name; "is", "a" and "by" stand in this block only
    assert found.keys() >= {"mirell", "vasko"}
    assert not found.keys() & set(index.words(QUESTION))
    assert found["vasko"] == pytest.approx(math.log(1 + 2.5 / 2.5))
    assert "vasko" not in new_words(index, QUESTION + " Vasko?", first, FeedbackSettings())


def test_the_feedback_follows_names(index: CandidateIndex, segment: Segment) -> None:
    evidence = [
        piece(segment, 0, "Aurora is a film by Mirelle Vasko.", 2.0),
        piece(segment, 0, "It was shot in Oslo.", 1.0),
    ]
    with_words = [(e, new_words(index, QUESTION, e.piece, FeedbackSettings())) for e in evidence]
    runs = [Run(segment, entry, entry.tokens) for entry in segment.entries]
    found = pieces_from_feedback(index, with_words, [*runs, runs[1]], 10)
    assert [p.entry.id for p in found] == ["director", "city"]
    vasko = math.log(1 + 2.5 / 2.5)
    assert found[0].score == pytest.approx(2 * vasko)  # both names, by the best evidence
    assert found[1].score == pytest.approx(0.5 * vasko)  # one name as rare, half the evidence
    assert pieces_from_feedback(index, with_words, runs, 1) == found[:1]
    assert pieces_from_feedback(index, [], runs, 10) == []
