"""How much evidence each method finds at the same token budget."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from s3_retriever.engine import Engine
from s3_retriever.evaluate.datasets import Example, Range
from s3_retriever.evaluate.methods import METHODS, PEERS
from s3_retriever.evaluate.metrics import (
    all_evidence,
    answer_recall,
    bootstrap,
    evidence_recall,
)

__all__ = ["evaluate_retrieval", "report"]

METRICS: dict[str, Callable[[Example, Sequence[Range]], float]] = {
    "evidence_recall": evidence_recall,
    "all_evidence": all_evidence,
    "answer_recall": answer_recall,
}


def evaluate_retrieval(
    engine: Engine,
    examples: Sequence[Example],
    *,
    methods: Sequence[str],
    budgets: Sequence[int],
    seed: int = 0,
    on_question: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Run methods on questions in the distractor setting.

    Args:
        engine: its model reads the contexts and counts the tokens.
        examples: questions with their contexts.
        methods: names of :data:`~s3_retriever.evaluate.methods.METHODS`.
        budgets: in tokens.
        seed: of the bootstrap.
        on_question: called with the number of questions done.

    Returns:
        ``methods`` (by name: each metric by budget as mean and 95% interval, ``tokens_used`` by
        budget, ``ms_per_question``, ``skipped``) and ``comparisons`` (paired differences of
        evidence recall against the best peer, by budget). Reading the context is not in the
        milliseconds.
    """
    runners = {name: METHODS[name](engine) for name in methods}
    values: dict[tuple[str, str, int], list[float]] = {}
    for done, example in enumerate(examples, start=1):
        engine.compress(example.question, example.context, 1)  # read once, before the clock runs
        for name, runner in runners.items():
            for budget in budgets:
                started = time.perf_counter()
                ranges = runner.retrieve(example, budget)
                seconds = time.perf_counter() - started
                used = sum(engine.generator.count_tokens(example.context[a:b]) for a, b in ranges)
                found = {metric: f(example, ranges) for metric, f in METRICS.items()}
                found |= {"tokens_used": used, "ms": 1000 * seconds}
                for metric, value in found.items():
                    values.setdefault((name, metric, budget), []).append(value)
        on_question(done)
    return {
        "methods": {
            name: {
                **{
                    metric: {str(b): bootstrap(values[name, metric, b], seed=seed) for b in budgets}
                    for metric in METRICS
                },
                "tokens_used": {
                    str(b): statistics.mean(values[name, "tokens_used", b]) for b in budgets
                },
                "ms_per_question": statistics.median(
                    v for b in budgets for v in values[name, "ms", b]
                ),
                "skipped": None,
            }
            for name in methods
        },
        "comparisons": _comparisons(values, methods, budgets, seed),
    }


def _comparisons(
    values: dict[tuple[str, str, int], list[float]],
    methods: Sequence[str],
    budgets: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    """Each method less the best peer, question by question."""
    peers = [name for name in methods if name in PEERS]
    found: dict[str, Any] = {}
    for budget in budgets if peers else ():
        recall = {name: values[name, "evidence_recall", budget] for name in methods}
        best = max(peers, key=lambda name: statistics.mean(recall[name]))
        found[str(budget)] = {"best_peer": best}
        for name in methods:
            if name != best:
                differences = [a - b for a, b in zip(recall[name], recall[best], strict=True)]
                found[str(budget)][name] = bootstrap(differences, seed=seed)
    return found


def report(result: dict[str, Any]) -> str:
    """The result of one run as a Markdown page."""
    budgets = result["budgets"]
    lines = [
        f"# {result['data']}, {result['setting']} setting",
        "",
        f"{result['n']} questions (seed {result['seed']}), profile {result['profile']}. Share of "
        "the gold sentences in the retrieved text, with 95% intervals, by budget in tokens.",
        "",
        "| method | " + " | ".join(map(str, budgets)) + " | ms |",
        "|---|" + "---|" * (len(budgets) + 1),
    ]
    for name, values in result["methods"].items():
        cells = [_cell(values["evidence_recall"][str(b)]) for b in budgets]
        lines.append(f"| {name} | {' | '.join(cells)} | {values['ms_per_question']:.0f} |")
    lines += ["", "Differences from the best peer, paired by question:", ""]
    lines += ["| budget | best peer | method | difference |", "|---|---|---|---|"]
    for budget, comparison in result["comparisons"].items():
        for name, difference in comparison.items():
            if name != "best_peer":
                cell = _cell(difference)
                lines.append(f"| {budget} | {comparison['best_peer']} | {name} | {cell} |")
    return "\n".join(lines) + "\n"


def _cell(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
