"""What each further layer of codes adds to retrieval and to the answer.

Source: S3-Attention (arXiv 2601.17702), its layer ablation: the first coded layer alone, then the
first two, and so on, each scored by Eq. 7. Where the profile names heads, attention scoring by
those that the layers have keys for stands beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.labels.metrics import answer_recall, evidence_recall
from s3_retriever.settings import Scoring
from s3_retriever.types import EncodedDocument
from s3_retriever_bench.analyses.asked import as_record
from s3_retriever_bench.analyses.cut_codes import cut_codes, cut_profile
from s3_retriever_bench.analyses.fluency import answer_distributions, nll
from s3_retriever_bench.longbench.metrics import score
from s3_retriever_bench.longbench.prompts import prompt_ids
from s3_retriever_bench.longbench.tasks import TASKS
from s3_retriever_bench.longbench.writing import write
from s3_retriever_bench.markdown import interval, table
from s3_retriever_bench.methods.method import own_weights
from s3_retriever_bench.methods.s3 import PUBLISHED
from s3_retriever_bench.plot import require_matplotlib

__all__ = ["layers_page", "measure_layers", "plot_layers"]

METRICS = {
    "evidence_recall": "evidence recall",
    "answer_recall": "answer recall",
    "nll": "NLL of the gold answer",
    "f1": "F1",
}
SCORINGS: dict[Scoring, str] = {"coactivation": "Eq. 7", "attention": "attention"}


def measure_layers(
    engine: Engine,
    data: Mapping[str, Sequence[Collection]],
    *,
    budget: int,
    seed: int = 0,
    on_question: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Retrieve with the codes of the first layer, of the first two, and so on.

    Each context is read once and its codes are cut; spans, peaks and budget are the same for all.

    Args:
        engine: its model and profile.
        data: by name collections of the distractor setting, one question each, with answers.
        budget: tokens of the shortened context.
        seed: of the bootstrap.
        on_question: called with the number of questions done.

    Returns:
        ``layers``: the steps, e.g. ``[[17], [17, 18]]``; ``rows``: for each data set, scoring and
        step (by its last layer) the metrics' means and intervals; those of the whole context
        (``full``) beside them, of evidence none.
    """
    steps = [engine.profile.layers[: n + 1] for n in range(len(engine.profile.layers))]
    found: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    scanner = Scanner(engine.llm, engine.profile, engine.scan_settings)
    done = 0
    for name, collections in data.items():
        for collection in collections:
            for metric, value in _use(engine, collection, collection.documents[0].text):
                found[name, "full", ""][metric].append(value)
            coded = list(scanner.scan(collection.documents))
            filler = BudgetFiller(collection, engine.llm.count_tokens)
            for scoring, step, ranking in _rankings(engine, coded, collection, steps):
                values = found[name, scoring, str(step[-1])]
                places = filler.fill(ranking, budget)
                if (recall := evidence_recall(collection.questions[0], places)) is not None:
                    values["evidence_recall"].append(recall)
                text = collection.text_of(sorted(places))
                for metric, value in _use(engine, collection, text):
                    values[metric].append(value)
            on_question(done := done + 1)
    return {
        "budget": budget,
        "questions": {name: len(collections) for name, collections in data.items()},
        "layers": [list(step) for step in steps],
        "rows": [
            {"data": name, "scoring": scoring, "last_layer": last}
            | {metric: bootstrap(v, seed=seed) for metric, v in values.items()}
            for (name, scoring, last), values in found.items()
        ],
    }


def _rankings(
    engine: Engine,
    coded: Sequence[EncodedDocument],
    collection: Collection,
    steps: Sequence[Sequence[int]],
) -> Iterator[tuple[str, Sequence[int], list[Place]]]:
    """For each step and way of scoring, places of the collection, best first."""
    [question] = collection.questions
    for step in steps:
        numbers = [n for n, h in enumerate(engine.profile.card.hookpoints) if h.layer in step]
        part = Engine(engine.llm, cut_profile(engine.profile, numbers))
        with part.index.writing():
            part.index.commit(cut_codes(coded, numbers))
        for scoring, title in SCORINGS.items():
            if scoring == "coactivation" or part.profile.card.heads:
                spans = part.retrieve(
                    question.text,
                    max_tokens=None,
                    mode="features",
                    scoring=scoring,
                    settings=PUBLISHED if scoring == "coactivation" else engine.retrieve_settings,
                )
                yield title, step, [Place(span.doc_id, span.start, span.end) for span in spans]


def _use(engine: Engine, collection: Collection, text: str) -> Iterator[tuple[str, float]]:
    """What the model makes of a context: answer recall, NLL of the gold answer, F1."""
    llm, record = own_weights(engine), as_record(collection)
    task = TASKS[record.task]
    yield "answer_recall", answer_recall(collection.questions[0], text) or 0.0
    gold = llm.tokenize(record.answers[0]).ids.tolist()
    limit = llm.window - max(task.max_new_tokens, len(gold))
    prompt = prompt_ids(llm, task, text, record.input, limit=limit)
    yield "nll", nll(answer_distributions(llm, prompt, gold), gold)
    written = write(llm, prompt, task.max_new_tokens).text
    yield "f1", score(task.metric, written, record.answers)


def layers_page(result: Mapping[str, Any]) -> str:
    """The figures of :func:`measure_layers` as Markdown."""
    steps = {str(step[-1]): ", ".join(map(str, step)) for step in result["layers"]}
    rows = [
        [
            row["data"],
            row["scoring"],
            steps.get(row["last_layer"], ""),
            *(interval(row.get(metric)) for metric in METRICS),
        ]
        for row in result["rows"]
    ]
    counts = ", ".join(f"{name} {n}" for name, n in result["questions"].items())
    lines = [
        f"Questions: {counts}; contexts cut to {result['budget']} tokens.",
        "",
        *table(["data", "scoring", "layers", *METRICS.values()], rows),
    ]
    return "\n".join(lines) + "\n"


def plot_layers(result: Mapping[str, Any], path: Path) -> None:
    """Draw each metric by the number of layers, a line a data set and scoring.

    Args:
        result: of :func:`measure_layers`.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    grid = figure.subplots(1, len(METRICS))
    names = [f"+{step[-1]}" if len(step) > 1 else str(step[-1]) for step in result["layers"]]
    legend: dict[str, Any] = {}
    for axes, (metric, title) in zip(grid, METRICS.items(), strict=True):
        for number, data in enumerate(result["questions"]):
            colour = f"C{number}"
            rows = [row for row in result["rows"] if row["data"] == data and metric in row]
            for scoring, line in (("Eq. 7", "o-"), ("attention", "s--")):
                means = [row[metric]["mean"] for row in rows if row["scoring"] == scoring]
                if means:
                    # attention scoring may begin with a later layer, the first with a head
                    at = names[len(names) - len(means) :]
                    (drawn,) = axes.plot(at, means, line, color=colour)
                    legend[f"{data}, {scoring}"] = drawn
            for row in rows:
                if row["scoring"] == "full" and metric != "answer_recall":
                    label = f"{data}, whole context"
                    legend[label] = axes.axhline(row[metric]["mean"], color=colour, alpha=0.4)
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
        if metric.endswith("recall"):
            axes.set_ylim(0, 1)
    figure.supxlabel("layers whose codes count, each with those before it", fontsize="medium")
    figure.legend(legend.values(), legend.keys(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=80)
