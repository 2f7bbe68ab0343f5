"""Weights of the legs by coordinate ascent, on questions made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.fusion import SpanUnion
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import FusionSettings
from s3_retriever.storage.index import Index
from s3_retriever.storage.view import View
from s3_retriever.training.calibration.fusion_weights import ProposedQuestion, fit_fusion, legs_of
from s3_retriever.types import Document, SpanRef
from tests.storage.conftest import code, random_profile

TEXT = "Right here.\n\nWrong there.\n\nWrong again."
DOCUMENT = Document("d", TEXT)
GIVEN = FusionSettings()


def store() -> View:
    """The text in an index of its own."""
    index = Index(None, random_profile().card)
    with index.writing():
        index.commit([code("d", TEXT)])
    return index.view


STORE = store()


def question(number: int, right: str, wrong: str) -> ProposedQuestion:
    """The leg ``right`` knows the evidence, ``wrong`` proposes something else with more weight."""
    union = SpanUnion(STORE)
    union.add(right, [ScoredSpan(SpanRef("d", 0, 11), 1.0)])
    union.add(wrong, [ScoredSpan(SpanRef("d", 13, 25), 3.0)])
    asked = Question(str(number), "?", evidence=(Place("d", 0, 11),))
    collection = Collection((DOCUMENT,), (asked,))
    # a token is a character and the budget 256: the first span alone would fit
    return ProposedQuestion(asked, union, BudgetFiller(collection, lambda t: 20 * len(t)))


def test_weights_follow_the_leg_that_knows() -> None:
    questions = [question(n, "passages", "query_likelihood") for n in range(6)]
    found = fit_fusion(questions, GIVEN)
    assert found.recalls["given"].tolist() == [0] * 6  # likelihood weighs more by default
    assert found.recalls["learned"].tolist() == [1] * 6
    assert found.wins
    assert found.weights["passages"] > found.weights["query_likelihood"]
    assert found.record()["weights"] == found.weights
    assert set(found.learned.weights) == set(preset_named("hybrid").legs)  # each is named
    assert found.lead == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_given_weights_stay_where_nothing_is_better() -> None:
    questions = [question(n, "query_likelihood", "passages") for n in range(4)]
    trials: list[int] = []
    found = fit_fusion(questions, GIVEN, on_trial=trials.append)
    assert found.learned == GIVEN
    assert not found.wins
    assert trials == list(range(1, 3 * 2 * 6 * 8 + 1))  # halves and all, rounds, weights, factors


def test_weights_are_measured_on_questions_they_were_not_learned_on() -> None:
    # what helps one half harms the other, whichever way the halves are drawn
    mixed = [
        question(0, "passages", "query_likelihood"),
        question(1, "query_likelihood", "passages"),
    ]
    found = fit_fusion(mixed, GIVEN)
    assert found.recalls["given"].tolist() == [0, 1]
    assert found.recalls["learned"].tolist() == [0, 0]


def test_legs_of_the_real_model(llm: TransformersModel) -> None:
    engine = Engine(llm, Profile.load("smollm2-135m-instruct"))
    text = "The lighthouse was finished in 1887.\n\nSourdough needs no bought yeast."
    asked = Question("q", "When was it finished?", evidence=(Place("d", 0, 36),))
    blank = Question("b", "What?")
    done: list[int] = []
    collection = Collection((Document("d", text),), (asked, blank, asked))
    found = legs_of(engine, [collection], on_question=done.append)
    assert done == [1, 2, 3]
    assert len(found) == 2
    assert {"features", "bm25", "passages", "query_likelihood"} <= set(found[0].union.relative())
    assert found[0].recall(GIVEN, 20) == 1.0
    with pytest.raises(InputError, match="questions with labelled evidence: 1"):
        legs_of(engine, [Collection((Document("d", text),), (asked, blank))])


def test_relative_scores() -> None:
    union = question(0, "bm25", "features").union
    assert [STORE.text(ref) for ref, _ in union.spans()] == ["Right here.", "Wrong there."]
    assert np.array_equal(union.relative()["features"], [0, 1])
    assert union.paragraphs().tolist() == [0, 1]
