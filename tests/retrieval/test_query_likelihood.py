"""The reading of candidates in context."""

from __future__ import annotations

import numpy as np

from s3_retriever.models.transformers import TransformersModel
from s3_retriever.retrieval.legs.query_likelihood import (
    clamped_gains,
    pieces_from_likelihood,
    within_window,
)
from s3_retriever.retrieval.passages import find_passages
from s3_retriever.settings import RerankSettings
from tests.retrieval.pieces import candidate


def test_clamped_gains_by_hand() -> None:
    values = np.array([[-1.0, -6.0], [-3.0, -2.0], [-5.0, -4.0]])  # means -3 and -4
    assert clamped_gains(values).tolist() == [1.0, 1.0, 0.0]


def test_one_candidate_gains_nothing() -> None:
    assert clamped_gains(np.array([[-1.0, -2.0]])).tolist() == [0.0]


def test_the_window_bounds_what_is_read() -> None:
    both = list(find_passages([candidate("finished"), candidate("yeast")], 256))
    assert len(within_window(both, 9, RerankSettings())) == 2
    assert len(within_window(both, 9, RerankSettings(window=20))) == 1
    assert len(within_window(both, 9, RerankSettings(passages=1))) == 1
    assert len(within_window(both, 1500, RerankSettings())) == 1  # two copies exceed the window


def test_the_generator_prefers_what_answers(llm: TransformersModel) -> None:
    pieces = pieces_from_likelihood(
        llm,
        "Who was the first keeper of the lighthouse?",
        list(find_passages([candidate("yeast"), candidate("finished")], 256)),
    )
    assert {"lighthouse" in p.text or "keeper" in p.text for p in pieces[:2]} == {True}
    assert all(p.score > 0 for p in pieces)
    assert [p.score for p in pieces] == sorted((p.score for p in pieces), reverse=True)
