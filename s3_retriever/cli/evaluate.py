"""``s3-retriever evaluate``: how good retrieval is, on questions with known evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import DeviceOption, ModelOption, ProfileOption
from s3_retriever.errors import InputError
from s3_retriever.evaluate.collection import Setting

__all__ = ["evaluate"]

evaluate = typer.Typer(help="Measure quality.", no_args_is_help=True)


@evaluate.callback()
def _root() -> None:
    """Measure quality."""


@evaluate.command()
def retrieval(
    data: Annotated[
        Path,
        typer.Option(help="Multi-hop records, QMSum meetings, SQuAD (JSON), or a BEIR folder."),
    ],
    setting: Annotated[
        Setting,
        typer.Option(
            help="distractor: each question's own context as one long document. corpus: the drawn "
            "questions' documents (BEIR: all) as one index."
        ),
    ] = "distractor",
    methods: Annotated[
        Optional[str], typer.Option(help="Names with commas between. Default: all.")
    ] = None,
    budgets: Annotated[str, typer.Option(help="Tokens, with commas.")] = "64,128,256,512",
    limit: Annotated[Optional[int], typer.Option(min=1, help="At most so many questions.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw and the intervals.")] = 0,
    json_out: Annotated[Optional[Path], typer.Option("--json", help="Write the figures.")] = None,
    report_out: Annotated[Optional[Path], typer.Option("--report", help="Write a page.")] = None,
    plot_out: Annotated[
        Optional[Path], typer.Option("--plot", help="Draw evidence recall by budget (.png, .svg).")
    ] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure at matched token budgets how much of the gold evidence each method finds."""
    from s3_retriever.engine import DEFAULT_PROFILE, Engine
    from s3_retriever.evaluate.datasets import load_collections
    from s3_retriever.evaluate.methods import METHODS
    from s3_retriever.evaluate.plot import plot_recall, require_matplotlib
    from s3_retriever.evaluate.report import report
    from s3_retriever.evaluate.retrieval import evaluate_retrieval

    # what can fail is tried before an hour of measuring, not after it
    names = _names(methods, list(METHODS))
    wanted = _budgets(budgets)
    for out in (json_out, report_out, plot_out):
        if out and not out.absolute().parent.is_dir():
            raise InputError(f"{out} cannot be written: its folder does not exist")
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


def _names(given: str | None, known: list[str]) -> list[str]:
    names = known if given is None else list(dict.fromkeys(n.strip() for n in given.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"unknown methods {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def _budgets(given: str) -> list[int]:
    if not all(b.strip().isdecimal() and int(b) > 0 for b in given.split(",")):
        raise InputError(f"--budgets takes e.g. 64,256, not {given!r}")
    return sorted({int(b) for b in given.split(",")})
