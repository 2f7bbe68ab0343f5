"""The evaluation and the benchmark, end to end on the real model and a few texts."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.errors import InputError
from s3_retriever.evaluate.datasets import Example
from s3_retriever.evaluate.methods import METHODS
from s3_retriever.evaluate.retrieval import evaluate_retrieval, report
from s3_retriever.evaluate.scan_bench import bench_scan

from .conftest import DOCUMENTS

CONTEXT = "\n\n".join(f"{d.id}\n{d.text}" for d in DOCUMENTS)


def example(question: str, gold: str) -> Example:
    start = CONTEXT.index(gold)
    return Example(
        id=question,
        question=question,
        answers=(gold,),
        context=CONTEXT,
        evidence=((start, start + len(gold)),),
        passages=(),
        gold_passages=(),
    )


EXAMPLES = [
    example(
        "Who was the last keeper of the lighthouse?",
        "The last keeper, Agnes Tullis, left in 1973 after the light had been automated.",
    ),
    example("When will the comet return?", "The next return is expected in 2025."),
]


def test_every_method_stays_in_budget_and_is_measured(engine: Engine) -> None:
    result = evaluate_retrieval(engine, EXAMPLES, methods=list(METHODS), budgets=[40, 100], seed=1)
    assert list(result["methods"]) == list(METHODS)
    for name, values in result["methods"].items():
        for budget in ("40", "100"):
            assert values["tokens_used"][budget] <= int(budget), name
            assert 0 <= values["evidence_recall"][budget]["mean"] <= 1
    assert result["methods"]["s3"]["evidence_recall"]["100"]["mean"] == 1
    assert set(result["comparisons"]["100"]) == {"best_peer", *METHODS} - {
        result["comparisons"]["100"]["best_peer"]
    }
    page = report(
        {"data": "d", "setting": "s", "n": 2, "seed": 1, "budgets": [40, 100], "profile": "p"}
        | result
    )
    assert all(f"| {name} |" in page for name in METHODS)


def test_bench_scan_measures_both(engine: Engine) -> None:
    result = bench_scan(
        engine.generator, engine.profile, CONTEXT, tokens=200, repeats=1, lengths=[200, 400]
    )
    assert result["ratio"] == pytest.approx(
        result["scan_tokens_per_s"] / result["prefill_tokens_per_s"], rel=0.01
    )
    assert set(result["peak_memory_bytes"]) == {"200", "400"}
    assert result["tokens"] == pytest.approx(200, abs=3)
    assert result["last_layer"] == 18
    with pytest.raises(InputError):
        bench_scan(engine.generator, engine.profile, CONTEXT, tokens=0)
