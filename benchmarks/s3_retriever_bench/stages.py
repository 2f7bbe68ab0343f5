"""Where evidence is lost on the way from the index to the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.metrics import evidence_recall
from s3_retriever_bench.methods.s3 import S3
from s3_retriever_bench.plot import require_matplotlib
from s3_retriever_bench.proposals import Proposer

__all__ = ["measure_stages", "plot_stages"]


def measure_stages(
    engine: Engine,
    collections: Sequence[Collection],
    *,
    budgets: Sequence[int],
    seed: int = 0,
    on_question: Callable[[int], None] = lambda done: None,
) -> dict[str, dict[str, float]]:
    """Evidence recall of ``s3`` after each stage, in the order of the stages.

    Args:
        engine: its model, profile and settings; its index is not touched.
        collections: questions with evidence.
        budgets: in tokens.
        seed: of the bootstrap.
        on_question: called with the number of questions done.

    Returns:
        By stage the mean share of the gold sentences and its 95% interval: inside the candidates
        (the blocks that words and features propose), inside the spans that are ranked (the second
        hop and the reading in context may add to the candidates), inside each budget, and inside
        the same budget if the gold sentences had been ranked first.
    """
    method, propose = S3(engine), Proposer(engine, S3.mode)
    values: dict[str, list[float]] = {}
    done = 0
    for collection in collections:
        method.read(collection)
        filler = BudgetFiller(collection, engine.llm.count_tokens)
        for question in collection.questions:
            if question.evidence:
                for stage, places in _stages(method, propose, filler, question, budgets).items():
                    recall = evidence_recall(question, places)
                    values.setdefault(stage, []).append(recall or 0.0)
            done += 1
            on_question(done)
    return {stage: bootstrap(found, seed=seed) for stage, found in values.items()}


def _stages(
    method: S3,
    propose: Proposer,
    filler: BudgetFiller,
    question: Question,
    budgets: Sequence[int],
) -> Mapping[str, Sequence[Place]]:
    view = method.index.documents.view
    _, ranges = propose(view, question.text)
    ranking = method.rank(question.text)
    stages: dict[str, Sequence[Place]] = {
        "candidates": [Place(c.doc_id, c.start, c.end) for c in view.characters(ranges)],
        "ranked spans": ranking,
    }
    for budget in sorted(budgets, reverse=True):
        stages[f"{budget} tokens"] = filler.fill(ranking, budget)
        stages[f"{budget} tokens, gold first"] = filler.fill(question.evidence, budget)
    return stages


def plot_stages(stages: Mapping[str, Mapping[str, float]], title: str, path: Path) -> None:
    """Draw the recall after each stage as bars, with intervals.

    Args:
        stages: as :func:`measure_stages` returns them.
        title: above the bars.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.5 * len(stages) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    names = list(stages)[::-1]
    means = [stages[name]["mean"] for name in names]
    below = [stages[name]["mean"] - stages[name]["low"] for name in names]
    above = [stages[name]["high"] - stages[name]["mean"] for name in names]
    colours = ["#b0b0b0" if name.endswith("gold first") else "#1f77b4" for name in names]
    axes.barh(names, means, xerr=[below, above], color=colours, ecolor="#404040")
    for row, mean in enumerate(means):
        axes.text(0.01, row, f"{mean:.2f}", va="center", color="white", fontweight="bold")
    axes.set_xlim(0, 1)
    axes.set_xlabel("evidence recall")
    axes.set_title(title)
    figure.savefig(path, dpi=130)
