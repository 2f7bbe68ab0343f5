"""From the values of single questions to means, intervals and paired comparisons."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever_bench.methods import PEERS

__all__ = ["OVERLAP", "PASSAGES", "Key", "Measured", "headline_budget", "summarise"]

Key = tuple[str, str]
"""A metric, and the budget or cut-off it is taken at (empty where there is none)."""

PASSAGES = (2, 5)
"""Cut-offs of passage recall."""
OVERLAP = ("span_recall", "span_precision", "span_iou")
"""How exactly what is retrieved is the evidence, in characters."""
AT_BUDGET = ("evidence_recall", "all_evidence", "answer_recall", *OVERLAP)
GRADED = ("ndcg@10", "recall@100")


@dataclass
class Measured:
    """What one variant of a method did: a value a question, in the questions' order."""

    note: str = ""
    skipped: str | None = None
    """Why it did not run."""
    index_seconds: float = 0.0
    values: dict[Key, list[float]] = field(default_factory=dict)

    def add(self, scores: Mapping[Key, float | None]) -> None:
        """Keep the scores of one question; ``None`` is a metric that does not apply to it."""
        for key, value in scores.items():
            if value is not None:
                self.values.setdefault(key, []).append(value)


def summarise(
    measured: Mapping[str, Sequence[Measured]], budgets: Sequence[int], *, seed: int
) -> dict[str, Any]:
    """The figures of all methods, and their differences from the best peer.

    Of a method's variants the one with the better mean evidence recall is taken at each budget
    (nDCG@10 where no evidence is labelled); figures that no budget belongs to are those of the
    variant taken at the headline budget.

    Args:
        measured: variants by method.
        budgets: in tokens.
        seed: of the bootstrap.

    Returns:
        ``methods``: by name ``evidence_recall``, ``all_evidence``, ``answer_recall``,
        ``span_recall``, ``span_precision`` and ``span_iou`` (by budget, mean and 95% interval),
        ``passage_recall`` (by cut-off), ``ndcg@10``, ``recall@100``,
        ``tokens_used`` (mean by budget), ``ms_per_question`` (median), ``index_seconds`` (total),
        ``note`` and ``skipped`` (the reason). What does not apply or was not run is ``None``.
        ``comparisons``: by budget (by ``ndcg@10`` where no evidence is labelled) ``best_peer`` and,
        by name, the paired difference of each other method from it.
    """
    chosen = {name: _Chosen(variants, budgets) for name, variants in measured.items()}
    return {
        "methods": {name: _figures(choice, budgets, seed) for name, choice in chosen.items()},
        "comparisons": _comparisons(chosen, budgets, seed),
    }


def headline_budget(budgets: Sequence[int]) -> int:
    """The budget at which further figures are shown: 256, or the middle one.

    Example:
        >>> headline_budget([64, 128, 256]), headline_budget([50, 100, 200])
        (256, 100)
    """
    return 256 if 256 in budgets else sorted(budgets)[len(budgets) // 2]


class _Chosen:
    """The variant of a method that is reported, by budget."""

    def __init__(self, variants: Sequence[Measured], budgets: Sequence[int]) -> None:
        self.skipped = [v.skipped for v in variants if v.skipped is not None]
        self.ran = [v for v in variants if v.skipped is None]
        if self.ran:
            self.by_budget = {budget: self._best(budget) for budget in budgets}
            self.headline = self.by_budget[headline_budget(budgets)]

    def judged_by(self, budget: int) -> Key:
        """The metric that methods are compared by."""
        key = ("evidence_recall", str(budget))
        return key if key in self.ran[0].values else ("ndcg@10", "")

    def _best(self, budget: int) -> Measured:
        key = self.judged_by(budget)
        return max(self.ran, key=lambda variant: statistics.mean(variant.values[key]))

    @property
    def note(self) -> str:
        """What the variants say of themselves; with several, at which budgets each was taken."""
        budgets: dict[str, list[str]] = {}
        for budget, variant in self.by_budget.items():
            budgets.setdefault(variant.note, []).append(str(budget))
        notes = list(budgets)
        if len(self.ran) > 1 and len(notes) > 1:
            notes = [f"at {', '.join(at)}: {note}" for note, at in budgets.items()]
        notes += [f"a variant was skipped: {reason}" for reason in dict.fromkeys(self.skipped)]
        return "; ".join(note for note in notes if note)


def _figures(choice: _Chosen, budgets: Sequence[int], seed: int) -> dict[str, Any]:
    """One method's part of the result."""
    found: dict[str, Any] = dict.fromkeys(
        [*AT_BUDGET, "passage_recall", *GRADED, "tokens_used", "ms_per_question", "index_seconds"]
    )
    if not choice.ran:
        return found | {"note": "", "skipped": choice.skipped[0]}

    def interval(variant: Measured, metric: str, at: object = "") -> dict[str, float] | None:
        values = variant.values.get((metric, str(at)))
        return bootstrap(values, seed=seed) if values else None

    for metric in AT_BUDGET:
        by_budget = {str(b): interval(choice.by_budget[b], metric, b) for b in budgets}
        found[metric] = by_budget if all(by_budget.values()) else None
    by_cut = {str(k): interval(choice.headline, "passage_recall", k) for k in PASSAGES}
    found["passage_recall"] = by_cut if all(by_cut.values()) else None
    for metric in GRADED:
        found[metric] = interval(choice.headline, metric)
    found["tokens_used"] = {
        str(b): statistics.mean(choice.by_budget[b].values["tokens_used", str(b)]) for b in budgets
    }
    found["ms_per_question"] = statistics.median(choice.headline.values["ms", ""])
    found["index_seconds"] = choice.headline.index_seconds
    return found | {"note": choice.note, "skipped": None}


def _comparisons(
    chosen: Mapping[str, _Chosen], budgets: Sequence[int], seed: int
) -> dict[str, Any]:
    """Each method less the best peer, question by question."""
    ran = {name: choice for name, choice in chosen.items() if choice.ran}
    peers = [name for name in ran if name in PEERS]
    found: dict[str, Any] = {}
    for budget in budgets if peers else ():
        metric, at = ran[peers[0]].judged_by(budget)
        if (at or metric) in found:  # nDCG@10 is the same at every budget
            continue
        values = {name: choice.by_budget[budget].values[metric, at] for name, choice in ran.items()}
        best = max(peers, key=lambda name: statistics.mean(values[name]))
        found[at or metric] = {"best_peer": best} | {
            name: bootstrap(
                [a - b for a, b in zip(values[name], values[best], strict=True)], seed=seed
            )
            for name in ran
            if name != best
        }
    return found
