"""The reading of candidates in context."""

from __future__ import annotations

import numpy as np

from s3_retriever.models.transformers import TransformersModel
from s3_retriever.retrieval.legs.query_likelihood import (
    QueryLikelihood,
    clamped_gains,
    within_window,
)
from s3_retriever.retrieval.passages import find_passages
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import QueryLikelihoodSettings
from tests.retrieval.texts import VIEW, candidate, context_of


def test_clamped_gains_by_hand() -> None:
    values = np.array([[-1.0, -6.0], [-3.0, -2.0], [-5.0, -4.0]])  # means -3 and -4
    assert clamped_gains(values).tolist() == [1.0, 1.0, 0.0]


def test_one_candidate_gains_nothing() -> None:
    assert clamped_gains(np.array([[-1.0, -2.0]])).tolist() == [0.0]


def test_the_window_bounds_what_is_read() -> None:
    both = list(find_passages(VIEW, [candidate("finished"), candidate("yeast")], 256))
    settings = QueryLikelihoodSettings
    assert len(within_window(VIEW, both, 9, settings())) == 2
    assert len(within_window(VIEW, both, 9, settings(window=20))) == 1
    assert len(within_window(VIEW, both, 9, settings(passages=1))) == 1
    assert len(within_window(VIEW, both, 1500, settings())) == 1  # two copies exceed the window


def test_the_model_prefers_what_answers(llm: TransformersModel) -> None:
    context = context_of(
        VIEW,
        "Who was the first keeper of the lighthouse?",
        weights={"bm25": 1.0},
        found=[ScoredSpan(candidate(text).ref, 1.0) for text in ("yeast", "finished")],
        llm=llm,
    )
    spans = QueryLikelihood().propose(context)
    texts = [VIEW.text(span.ref) for span in spans]
    assert {"lighthouse" in text or "keeper" in text for text in texts[:2]} == {True}
    assert all(span.score > 0 for span in spans)
    assert [s.score for s in spans] == sorted((s.score for s in spans), reverse=True)
