"""Figures and page from answers whose values are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from s3_retriever_bench.longbench.answers import Answer, Key
from s3_retriever_bench.longbench.figures import figures
from s3_retriever_bench.longbench.table import page

from tests.benchmarks.longbench.test_answers import answer

SCORES = {
    "full": {"qasper": [0.2, 0.4], "qmsum": [0.1, 0.1, 0.4]},
    "s3": {"qasper": [0.4, 0.8], "qmsum": [0.2, 0.2, 0.8]},
    "bm25": {"qasper": [0.0, 0.0], "qmsum": [0.0, 0.3, 0.3]},
}
SETTINGS = {
    "model": "tiny",
    "dtype": "bfloat16",
    "window": 8192,
    "profile": "p",
    "data": ["a.jsonl"],
    "budget": 512,
    "shots": 0,
    "seed": 0,
}


def answers(scores: dict[str, dict[str, list[float]]]) -> dict[Key, Answer]:
    given = [
        answer(method, task, str(n), score=score)
        for method, by_task in scores.items()
        for task, values in by_task.items()
        for n, score in enumerate(values)
    ]
    return {one.key: one for one in given}


ASKED = [("qasper", "0"), ("qasper", "1"), ("qmsum", "0"), ("qmsum", "1"), ("qmsum", "2")]


def result(
    methods: Sequence[str] = tuple(SCORES),
    scores: dict[str, dict[str, list[float]]] = SCORES,
    skipped: dict[str, str] | None = None,
) -> dict[str, Any]:
    found = figures(answers(scores), ASKED, methods, skipped=skipped or {}, seed=0)
    return {"settings": SETTINGS, **found}


def test_means_average_and_retention_by_hand() -> None:
    found = result()
    assert found["counted"] == found["asked"] == {"qasper": 2, "qmsum": 3}
    full, s3, bm25 = (found["methods"][name] for name in SCORES)
    assert full["tasks"]["qasper"]["mean"] == pytest.approx(30)
    assert full["tasks"]["qmsum"]["mean"] == pytest.approx(20)
    assert full["average"]["mean"] == pytest.approx(25)  # of the tasks, not of the questions
    assert bm25["retention"]["mean"] == pytest.approx(40)  # (0 + 20) / 2 of 25
    assert full["retention"] == pytest.approx({"mean": 100, "low": 100, "high": 100})
    # twice as good on every record: so in every resample, which is the same for both
    assert s3["retention"] == pytest.approx({"mean": 200, "low": 200, "high": 200})


def test_the_lead_of_s3_is_paired() -> None:
    found = result()["methods"]
    # twice as good as full on every record: its lead is full's own average in every resample
    assert found["full"]["lead"] == pytest.approx(found["full"]["average"])
    assert found["bm25"]["lead"]["mean"] == pytest.approx(40)  # 50 less (0 + 20) / 2
    assert found["s3"]["lead"] is None
    assert result(["full", "bm25"])["methods"]["full"]["lead"] is None


def test_intervals_are_those_of_the_draws() -> None:
    task = result()["methods"]["full"]["tasks"]["qasper"]
    # two records: both drawn are the first with probability 1/4, the second with 1/4
    assert (task["low"], task["high"]) == pytest.approx((20, 40))
    assert result() == result()


def test_only_records_that_every_method_answered_count() -> None:
    partial = {**SCORES, "s3": {"qasper": [0.4], "qmsum": [0.2, 0.2, 0.8]}}
    found = result(scores=partial)
    assert found["counted"] == {"qasper": 1, "qmsum": 3}
    assert found["methods"]["full"]["tasks"]["qasper"]["mean"] == pytest.approx(20)
    assert "intervals are too narrow" in page(found)  # of one record
    assert "Qasper 1 of 2" in page(found)
    none = result(scores={**SCORES, "s3": {"qmsum": [0.2, 0.2, 0.8]}})
    assert none["tasks"] == ["qmsum"]
    assert none["methods"]["full"]["average"]["mean"] == pytest.approx(20)


def test_a_skipped_method_is_a_row_with_its_reason_and_costs_the_others_nothing() -> None:
    found = result([*SCORES, "rag-rerank"], skipped={"rag-rerank": "no weights | of it"})
    assert found["counted"] == {"qasper": 2, "qmsum": 3}
    assert found["methods"]["rag-rerank"]["average"] is None
    text = page(found)
    assert "| rag-rerank | not run, see below |" in text
    assert "- rag-rerank: no weights | of it" in text


def test_costs_are_means_and_the_largest_peak() -> None:
    costs = result()["methods"]["s3"]
    assert costs["seconds"] == {
        "scan": 1.0,
        "retrieve": 0.5,
        "prefill": 0.25,
        "decode": 0.25,
        "total": 2.0,
    }
    assert (costs["context_tokens"], costs["new_tokens"], costs["peak_bytes"]) == (64, 3, 2**20)


def test_retention_needs_a_full_that_scores() -> None:
    assert result(["s3", "bm25"])["methods"]["s3"]["retention"] is None
    silent = {**SCORES, "full": {"qasper": [0.0, 0.0], "qmsum": [0.0] * 3}}
    assert result(scores=silent)["methods"]["s3"]["retention"] is None
    # in some resamples the full context scores nothing: they are left out
    rare = {**SCORES, "full": {"qasper": [0.0, 0.0], "qmsum": [0.0, 0.0, 0.3]}}
    found = result(scores=rare)["methods"]["full"]["retention"]
    assert found == pytest.approx({"mean": 100, "low": 100, "high": 100})


def test_the_page_says_what_it_is_about() -> None:
    text = page(result())
    lines = text.splitlines()
    assert lines[0] == "# LongBench"
    assert "- Model: tiny (bfloat16), profile p." in lines
    assert (
        "Records of a.jsonl (seed 0) that every method answered: Qasper 2 of 2, QMSum 3 of 3"
        in text
    )
    assert "keep 512 tokens of it" in text
    assert "- full: the prompt is cut in the middle to the window of 8192 tokens" in text
    assert "intervals are too narrow" not in text
    assert "Avg is over 2 of the nine tasks." in text
    assert "| method | Qasper | QMSum | Avg | retention % | s3 less it |" in lines
    row = next(line for line in lines if line.startswith("| s3 | 60.00 | 40.00 | 50.00 ("))
    assert row.endswith("| 200 (200 to 200) |  |")
    assert "| s3 | 1.00 | 0.50 | 0.25 | 0.25 | 2.00 | 64 | 3 | 1 |" in lines


def test_before_the_first_record_is_done_the_page_says_so() -> None:
    assert "No record is answered by every method yet." in page(result(scores={}))
