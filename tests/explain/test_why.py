"""Explanations, against the scorer that they explain."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes
from s3_retriever.retrieval.scoring.base import score_tokens
from s3_retriever.settings import CandidateSettings, RetrieveSettings

QUESTION = "When was the lighthouse finished?"


def test_readings_are_the_scorers_own_numbers(engine):
    view, llm, profile = engine.index.view, engine.llm, engine.profile
    reading = engine.read_document(QUESTION, "lighthouse")
    lanes = [
        QuestionLanes(profile, llm.layout, project_question(llm, profile.card, text))
        for text in (QUESTION, "N/A")
    ]
    batch = view.tokens([view.whole_document("lighthouse")])
    expected = score_tokens(AttentionScorer(profile, *lanes), [batch])
    np.testing.assert_allclose(reading.scores, expected, atol=1e-3)
    for head in reading.heads:
        assert head.shares.mean() == pytest.approx(1)


def test_an_explanation(engine):
    span = engine.retrieve(QUESTION, k=1)[0]
    why = engine.explain(QUESTION, span)
    text = engine.get(span.doc_id).text
    assert why.tokens[0].start <= span.start
    assert why.tokens[-1].end >= span.end
    best = max(why.tokens, key=lambda t: t.score)
    assert text[best.start : best.end].strip() in span.text
    assert set(why.heads) == {f"{h.layer}.{h.head}" for h in engine.profile.card.heads}
    assert max(why.heads.values()) > 1
    assert why.legs == dict(span.scores)
    added = [feature.contribution for feature in why.features]
    assert added == sorted(added, reverse=True)
    assert added[0] > 0
    for feature in why.features:
        assert all(token in span.text for token in feature.tokens)
        for example in feature.examples:
            fires(engine, feature, example)
            assert example.doc_id != span.doc_id or not (
                span.start < example.end and example.start < span.end
            )
    assert any(feature.examples for feature in why.features)


def fires(engine, feature, example):
    """The stored code of an example's token holds the feature; its surroundings cut no word."""
    view = engine.index.view
    words = set(re.findall(r"\w+", view.document(example.doc_id).text))
    assert set(re.findall(r"\w+", example.text)) <= words
    batch = view.tokens([view.whole_document(example.doc_id)])
    row = int(np.flatnonzero(batch.starts == example.start)[0])
    layers = [h.layer for h in engine.profile.card.hookpoints]
    assert feature.latent in batch.ids[row, layers.index(feature.layer)]


def test_a_span_of_another_text_is_refused(engine):
    span = engine.retrieve(QUESTION, k=1)[0]
    with pytest.raises(InputError, match="changed"):
        engine.explain(QUESTION, replace(span, text="Another."))
    with pytest.raises(InputError, match="no document"):
        engine.explain(QUESTION, replace(span, doc_id="gone"))


def test_why_not(engine):
    assert "add it" in engine.why_not(QUESTION, "gone").reason
    other = engine.why_not(QUESTION, "comet", filter={"kind": "food"})
    assert "filter" in other.reason
    assert "is in the result" in engine.why_not(QUESTION, "lighthouse").reason


def test_why_not_says_what_it_takes(engine):
    tight = {"max_tokens": 24, "k": 1}
    assert {s.doc_id for s in engine.retrieve(QUESTION, **tight)} == {"lighthouse"}
    why = engine.why_not(QUESTION, "comet", **tight)
    assert why.rank > 0
    enough = engine.retrieve(QUESTION, max_tokens=why.max_tokens, k=why.rank + 1)
    assert "comet" in {s.doc_id for s in enough}
    assert str(why.max_tokens) in why.reason


def test_why_not_for_what_was_never_proposed(llm, engine):
    few = RetrieveSettings(candidates=CandidateSettings(cover=0, words=1, features=0))
    small = Engine(llm, engine.profile, retrieve=few)
    small.add(
        [
            Document("near", "The mill was built in 1780. The mill grinds flour."),
            Document("far", "A mill needs wind."),
            Document("none", "Stars shine."),
        ]
    )
    settings = {"mode": "bm25"}
    far = small.why_not("When was the mill built?", "far", **settings)
    assert far.words_block == 1
    assert far.shared_words == ("mill",)
    assert "candidates.words" in far.reason
    none = small.why_not("When was the mill built?", "none", **settings)
    assert (none.words_block, none.shared_words) == (None, ())
    assert "no word" in none.reason
