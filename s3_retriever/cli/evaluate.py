"""``s3-retriever evaluate``: how good retrieval is, on questions with known evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import DeviceOption, ModelOption, ProfileOption

__all__ = ["evaluate"]

evaluate = typer.Typer(help="Measure quality.", no_args_is_help=True)


@evaluate.callback()
def _root() -> None:
    """Measure quality."""


@evaluate.command()
def retrieval(
    data: Annotated[Path, typer.Option(help="Multi-hop questions, one JSON record a line.")],
    methods: Annotated[
        str, typer.Option(help="Names with commas between.")
    ] = "bm25,tantivy-bm25,s3-pure,s3-hybrid,s3-attention,s3",
    budgets: Annotated[str, typer.Option(help="Tokens, with commas.")] = "64,128,256,512",
    limit: Annotated[Optional[int], typer.Option(min=1, help="At most so many questions.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw and the intervals.")] = 0,
    json_out: Annotated[Optional[Path], typer.Option("--json", help="Write the figures.")] = None,
    report_out: Annotated[Optional[Path], typer.Option("--report", help="Write a page.")] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure evidence recall at matched token budgets (distractor setting)."""
    from s3_retriever.engine import DEFAULT_PROFILE, Engine
    from s3_retriever.errors import InputError
    from s3_retriever.evaluate.datasets import load_multihop
    from s3_retriever.evaluate.methods import METHODS
    from s3_retriever.evaluate.retrieval import evaluate_retrieval, report

    names = [name.strip() for name in methods.split(",")]
    if unknown := [name for name in names if name not in METHODS]:
        raise InputError(f"unknown methods {', '.join(unknown)}; known: {', '.join(METHODS)}")
    if not all(b.strip().isdecimal() and int(b) > 0 for b in budgets.split(",")):
        raise InputError(f"--budgets takes e.g. 64,256, not {budgets!r}")
    wanted = [int(b) for b in budgets.split(",")]
    examples = load_multihop(data, limit=limit, seed=seed)
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=len(examples), note="")
        measured = evaluate_retrieval(
            engine,
            examples,
            methods=names,
            budgets=wanted,
            seed=seed,
            on_question=lambda done: bar.update(task, completed=done),
        )
    result: dict[str, Any] = {
        "data": data.name,
        "setting": "distractor",
        "n": len(examples),
        "seed": seed,
        "budgets": wanted,
        "profile": engine.profile.card.name,
        **measured,
    }
    if json_out:
        json_out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if report_out:
        report_out.write_text(report(result), encoding="utf-8")
    console.print(report(result), soft_wrap=True, markup=False)
