"""``s3-retriever-bench``: how good retrieval is, on questions with known evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import (
    DeviceOption,
    FiguresOption,
    ModelOption,
    ProfileOption,
    SeedOption,
    check_outputs,
    parse_names,
    parse_numbers,
)
from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Setting

__all__ = ["retrieval", "stages"]

DataOption = Annotated[
    Path,
    typer.Option(
        help="Multi-hop records, QMSum meetings, SQuAD, LoCoMo conversations (JSON), a folder of "
        "documents and questions with spans, or a BEIR folder."
    ),
]
SettingOption = Annotated[
    Setting,
    typer.Option(
        help="distractor: each question's own context as one long document. corpus: the drawn "
        "questions' documents (BEIR, spans: all) as one index."
    ),
]
BudgetsOption = Annotated[str, typer.Option(help="Tokens, with commas.")]
LimitOption = Annotated[Optional[int], typer.Option(min=1, help="At most so many questions.")]


def retrieval(
    data: DataOption,
    setting: SettingOption = "distractor",
    methods: Annotated[
        Optional[str], typer.Option(help="Names with commas between. Default: all.")
    ] = None,
    budgets: BudgetsOption = "64,128,256,512",
    limit: LimitOption = None,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    report_out: Annotated[Optional[Path], typer.Option("--report", help="Write a page.")] = None,
    plot_out: Annotated[
        Optional[Path], typer.Option("--plot", help="Draw evidence recall by budget (.png, .svg).")
    ] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure at matched token budgets how much of the gold evidence each method finds."""
    from s3_retriever.engine import Engine
    from s3_retriever.labels.datasets import load_collections
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever_bench.methods import METHODS
    from s3_retriever_bench.plot import plot_recall, require_matplotlib
    from s3_retriever_bench.report import report
    from s3_retriever_bench.retrieval import evaluate_retrieval

    names = parse_names(methods, METHODS, "methods")
    wanted = parse_numbers(budgets, "--budgets")
    check_outputs(json_out, report_out, plot_out)
    if plot_out:
        require_matplotlib()
    collections = load_collections(data, setting=setting, limit=limit, seed=seed)
    if plot_out and not any(q.evidence for c in collections for q in c.questions):
        raise InputError(f"--plot draws evidence recall, and {data} labels no evidence")
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("rankings", total=None, note="")
        measured = evaluate_retrieval(
            engine,
            collections,
            methods=names,
            budgets=wanted,
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result = {
        "data": data.name,
        "setting": setting,
        "seed": seed,
        "profile": engine.profile.card.name,
        **measured,
    }
    page = report(result)
    if json_out:
        json_out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if report_out:
        report_out.write_text(page, encoding="utf-8")
    if plot_out:
        plot_recall(result, plot_out)
    console.print(page, soft_wrap=True, markup=False, highlight=False)


def stages(
    data: DataOption,
    setting: SettingOption = "distractor",
    budgets: BudgetsOption = "256,512",
    limit: LimitOption = None,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    plot_out: Annotated[
        Optional[Path], typer.Option("--plot", help="Draw the recall by stage (.png, .svg).")
    ] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure where s3 loses evidence: candidates, ranked spans, budgets."""
    from s3_retriever.engine import Engine
    from s3_retriever.labels.datasets import load_collections
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever_bench.plot import require_matplotlib
    from s3_retriever_bench.stages import measure_stages, plot_stages

    wanted = parse_numbers(budgets, "--budgets")
    check_outputs(json_out, plot_out)
    if plot_out:
        require_matplotlib()
    collections = load_collections(data, setting=setting, limit=limit, seed=seed)
    n = sum(len(c.questions) for c in collections)
    if not any(q.evidence for c in collections for q in c.questions):
        raise InputError(f"{data} labels no evidence")
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=n, note="")
        found = measure_stages(
            engine,
            collections,
            budgets=wanted,
            seed=seed,
            on_question=lambda done: bar.update(task, completed=done),
        )
    title = f"{data.name}, {setting} setting, {n} questions"
    if json_out:
        record = {"data": data.name, "setting": setting, "n": n, "seed": seed, "stages": found}
        json_out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if plot_out:
        plot_stages(found, title, plot_out)
    console.print(title, soft_wrap=True, markup=False, highlight=False)
    for stage, recall in found.items():
        row = f"{stage:<28} {recall['mean']:.3f} ({recall['low']:.3f} to {recall['high']:.3f})"
        console.print(row, soft_wrap=True, markup=False, highlight=False)
