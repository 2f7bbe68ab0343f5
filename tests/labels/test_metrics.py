"""Metrics, on values worked out by hand."""

from __future__ import annotations

import math
import sys

import pytest

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.metrics import (
    all_evidence,
    answer_recall,
    evidence_recall,
    graded,
    overlap,
    passage_recall,
)
from s3_retriever.types import Document

TEXT = "It was kept by Agnes Tullis. It was built of stone by hand."
FIRST, SECOND = Place("a", 0, 28), Place("a", 29, 59)
QUESTION = Question("q", "Who?", ("Agnes Tullis", ""), evidence=(FIRST, SECOND))
UNLABELLED = Question("q", "Who?")

PARAGRAPHS = (Place("a", 0, 10), Place("a", 12, 22), Place("a", 24, 34), Place("b", 0, 10))
COLLECTION = Collection((Document("a", "x" * 40), Document("b", "y" * 40)), (), PARAGRAPHS)


def asked(*gold: Place) -> Question:
    return Question("q", "Who?", gold_passages=gold)


def test_recall_needs_nine_tenths_of_a_sentence() -> None:
    assert evidence_recall(QUESTION, []) == 0
    assert evidence_recall(QUESTION, [FIRST]) == 0.5
    assert evidence_recall(QUESTION, [Place("a", 0, 26), SECOND]) == 1  # 26 of 28 characters
    assert evidence_recall(QUESTION, [Place("a", 0, 25), SECOND]) == 0.5  # 25 of 28
    assert evidence_recall(QUESTION, [Place("a", 0, 14), Place("a", 14, 28)]) == 0.5
    assert evidence_recall(QUESTION, [Place("b", 0, 59)]) == 0  # another document
    assert all_evidence(QUESTION, [Place("a", 0, 59)]) == 1
    assert all_evidence(QUESTION, [FIRST]) == 0


def test_overlap_by_hand() -> None:
    # 58 characters of evidence; retrieved 10 to 40, of which 28 to 29 is none, and 10 elsewhere
    found = overlap(QUESTION, [Place("a", 10, 40), Place("b", 0, 10)])
    assert found == pytest.approx(
        {"span_recall": 29 / 58, "span_precision": 29 / 40, "span_iou": 29 / 69}
    )
    # what overlaps counts once
    twice = Question("q", "Who?", evidence=(Place("a", 0, 10), Place("a", 5, 20)))
    found = overlap(twice, [Place("a", 8, 12), Place("a", 10, 30), Place("a", 9, 11)])
    assert found == {"span_recall": 12 / 20, "span_precision": 12 / 22, "span_iou": 12 / 30}
    assert overlap(QUESTION, []) == {"span_recall": 0, "span_precision": 0, "span_iou": 0}
    assert overlap(QUESTION, QUESTION.evidence) == dict.fromkeys(found, 1)
    assert overlap(UNLABELLED, [FIRST]) == {}


def test_answer_recall_ignores_case() -> None:
    assert answer_recall(QUESTION, "by AGNES tullis.") == 1
    assert answer_recall(QUESTION, "by Agnes.") == 0


def test_metrics_that_do_not_apply_are_none_rather_than_zero() -> None:
    assert evidence_recall(UNLABELLED, [FIRST]) is None
    assert all_evidence(UNLABELLED, [FIRST]) is None
    assert answer_recall(UNLABELLED, TEXT) is None
    assert passage_recall(COLLECTION, UNLABELLED, [FIRST], 2) is None
    assert graded(UNLABELLED, [FIRST]) == {}


def test_passages_stand_in_the_order_of_the_first_place_that_touches_them() -> None:
    first, second, third, other = PARAGRAPHS
    ranking = [Place("a", 25, 27), Place("a", 24, 30), Place("b", 9, 12), Place("a", 5, 14)]
    # third, other, then first and second by one place
    assert passage_recall(COLLECTION, asked(third, other), ranking, 2) == 1
    assert passage_recall(COLLECTION, asked(third, first), ranking, 2) == 0.5
    assert passage_recall(COLLECTION, asked(first), ranking, 3) == 1
    assert passage_recall(COLLECTION, asked(second), ranking, 3) == 0
    assert passage_recall(COLLECTION, asked(second), ranking, 5) == 1
    between = [Place("a", 10, 12)]  # white space only
    assert passage_recall(COLLECTION, asked(first, second), between, 2) == 0


def test_graded_documents_stand_in_the_order_of_their_first_place() -> None:
    question = Question("q", "Who?", grades={"a": 2, "b": 1, "c": 0})
    found = graded(question, [Place("b", 5, 9), Place("b", 0, 4), Place("a", 0, 4)])
    best = 2 + 1 / math.log2(3)
    assert found["ndcg@10"] == pytest.approx((1 + 2 / math.log2(3)) / best)
    assert found["recall@100"] == 1
    assert graded(question, [Place("c", 0, 4), Place("a", 0, 4)]) == {
        "ndcg@10": pytest.approx(2 / math.log2(3) / best),
        "recall@100": 0.5,
    }
    assert graded(question, []) == {"ndcg@10": 0, "recall@100": 0}


def test_without_ir_measures_the_message_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(InputError, match="pip install s3-retriever-bench"):
        graded(Question("q", "Who?", grades={"a": 1}), [])
