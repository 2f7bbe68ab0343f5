"""Telling questions that nothing answers from others, on the real model."""

from __future__ import annotations

import numpy as np
import pytest
from s3_retriever_bench.abstention import area_under_roc, asked_elsewhere, measure_abstention

from s3_retriever import Engine
from s3_retriever.labels.collections import Collection, Question
from tests.engine.conftest import DOCUMENTS


@pytest.mark.parametrize(
    ("yes", "no", "area"),
    [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1, 1], [1], 0.5), ([2, 0], [1], 0.5)],
)
def test_area_under_roc(yes: list[float], no: list[float], area: float) -> None:
    assert area_under_roc(np.array(yes), np.array(no)) == area


def test_each_context_is_asked_the_next_ones_questions() -> None:
    first, second = (
        Collection((document,), (Question(document.id, document.id),)) for document in DOCUMENTS[:2]
    )
    found = asked_elsewhere([first, second])
    assert [c.documents for c in found] == [first.documents, second.documents]
    assert [c.questions for c in found] == [second.questions, first.questions]


def test_questions_about_something_else_are_refused(engine: Engine) -> None:
    def asked(*questions: str) -> list[Collection]:
        return [Collection(tuple(DOCUMENTS), tuple(Question(q, q) for q in questions))]

    done: list[int] = []
    found = measure_abstention(
        engine,
        asked(
            "Who was the last keeper of the lighthouse?",
            "Who kept the lighthouse last?",
            "What was the keeper of the lighthouse called?",
            "Which keeper was the last one at the lighthouse?",
        ),
        asked(
            "What is the boiling point of bromine?",
            "Which enzyme copies DNA?",
            "How do transistors amplify currents?",
            "Who painted the Sistine chapel?",
        ),
        mode="fast",
        on_progress=lambda n, total: done.append(n),
    )
    assert done == list(range(1, 9))
    assert (found["answerable"], found["unanswerable"]) == (2, 2)
    assert found["auroc"]["mean"] == 1.0
    assert found["refused"] == 1.0
