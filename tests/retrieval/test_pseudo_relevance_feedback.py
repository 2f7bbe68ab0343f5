"""The second hop by the words of the best evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.legs.pseudo_relevance_feedback import (
    PseudoRelevanceFeedback,
    new_words,
)
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import (
    FusionSettings,
    PseudoRelevanceFeedbackSettings,
    RetrieveSettings,
)
from s3_retriever.storage.view import View
from tests.retrieval.texts import context_of, ref_of, view_of
from tests.storage.conftest import code

FILM = "Aurora is a film by Mirelle Vasko. It was shot in Oslo."
DIRECTOR = "Mirelle Vasko was born to the weaver Ada Vasko."
CITY = "Oslo has harbours."
BREAD = "Bread needs flour."
QUESTION = "Who is the mother of the director of the film Aurora?"


@pytest.fixture
def view() -> View:
    texts = {"film": FILM, "director": DIRECTOR, "city": CITY, "bread": BREAD}
    return view_of(*(code(i, text) for i, text in texts.items()))


def asked(
    view: View, evidence: Mapping[str, float], question: str = QUESTION, spans: int = 10
) -> LegContext:
    """A context whose best spans are some sentences of the film, with some scores."""
    settings = RetrieveSettings(
        fusion=FusionSettings(paragraph_weight=0),
        pseudo_relevance_feedback=PseudoRelevanceFeedbackSettings(spans=spans),
    )
    found = [ScoredSpan(ref_of(view, "film", text), score) for text, score in evidence.items()]
    return context_of(
        view,
        question,
        weights={"bm25": max(evidence.values(), default=1.0)},
        settings=settings,
        found=found,
    )


def test_new_words_are_rare_and_not_asked(view: View) -> None:
    first = FusedSpan(ref_of(view, "film", "Aurora is a film by Mirelle Vasko."), 1.0, {})
    context = asked(view, {})
    found = new_words(context, first)
    # two of four blocks hold each name; "is", "a" and "by" stand in this block only
    assert found.keys() >= {"mirell", "vasko"}
    assert not found.keys() & set(view.search.words(QUESTION))
    assert found["vasko"] == pytest.approx(math.log(1 + 2.5 / 2.5))
    assert "vasko" not in new_words(asked(view, {}, QUESTION + " Vasko?"), first)


def test_the_feedback_follows_names(view: View) -> None:
    evidence = {"Aurora is a film by Mirelle Vasko.": 2.0, "It was shot in Oslo.": 1.0}
    context = asked(view, evidence)
    assert [item.score for item in context.ranked()] == [2.0, 1.0]
    context.candidates = [*context.candidates, context.candidates[1]]
    leg = PseudoRelevanceFeedback()
    found = leg.propose(context)
    assert [span.ref.doc_id for span in found] == ["director", "city"]
    vasko = math.log(1 + 2.5 / 2.5)
    assert found[0].score == pytest.approx(2 * vasko)  # both names, by the best evidence
    assert found[1].score == pytest.approx(0.5 * vasko)  # one name as rare, half the evidence
    assert leg.propose(asked(view, evidence, spans=1)) == found[:1]
    assert leg.propose(asked(view, {})) == []
