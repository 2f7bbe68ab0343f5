"""``s3-retriever-bench abstention``: questions that nothing answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    ProfileOption,
    SeedOption,
)

__all__ = ["abstention"]


def abstention(
    data: Annotated[
        Path,
        typer.Option(
            help="LoCoMo conversations, which hold questions that they do not answer. Of other "
            "data sets, each context is asked another's question."
        ),
    ],
    limit: Annotated[
        Optional[int], typer.Option(min=4, help="At most so many questions of each kind.")
    ] = None,
    mode: Annotated[Optional[str], typer.Option(help="How spans are found.")] = None,
    seed: SeedOption = 0,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn on half of the questions when nothing relevant is there, and test it on the other."""
    from s3_retriever.engine import Engine
    from s3_retriever.errors import InputError
    from s3_retriever.labels.datasets import load_collections, load_unanswerable
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever_bench.abstention import asked_elsewhere, measure_abstention

    answerable = load_collections(data, limit=limit, seed=seed)
    try:
        unanswerable = load_unanswerable(data, limit=limit, seed=seed)
        kind = "questions that their own documents do not answer"
    except InputError:
        unanswerable = asked_elsewhere(answerable)
        kind = "questions about other documents"
    for side in (answerable, unanswerable):
        if sum(len(c.questions) for c in side) < 4:
            raise InputError(f"{data}: four questions of each kind are needed at least")
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=None, note="")
        found = measure_abstention(
            engine,
            answerable,
            unanswerable,
            mode=mode,
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps({"data": data.name, "seed": seed, "unanswerable_are": kind, **found}))
        return
    auroc = "{mean:.3f} ({low:.3f} to {high:.3f})".format(**found["auroc"])
    console.print(
        f"{data.name}: {found['answerable']} answerable questions and {found['unanswerable']} "
        f"unanswerable ones ({kind}), threshold learned on as many others\n"
        f"AUROC {auroc}; above {found['threshold']:.2f} nats a token stay {found['found']:.2f} of "
        f"the answerable, below it {found['refused']:.2f} of the unanswerable",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
