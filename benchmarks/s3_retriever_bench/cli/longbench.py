"""``s3-retriever-bench longbench``: the published main table."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, errors, progress_bar, waiting
from s3_retriever.cli.options import DeviceOption, ModelOption, ProfileOption, parse_names

__all__ = ["longbench"]

_MINUTE = 60
"""Seconds between two looks at what is done."""


def longbench(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the answers (a line each) and of table.md and table.json. The same "
            "command goes on where it was stopped."
        ),
    ],
    data: Annotated[
        Optional[list[Path]],
        typer.Option(help="LongBench's JSON lines; may be repeated. Default: the hub's LongBench."),
    ] = None,
    methods: Annotated[
        Optional[str], typer.Option(help="Names with commas between. Default: all.")
    ] = None,
    tasks: Annotated[
        Optional[str],
        typer.Option(help="Names with commas between. Default: those of the nine in the data."),
    ] = None,
    budget: Annotated[
        int, typer.Option(min=65, help="Tokens of a shortened context, positions of a cache.")
    ] = 1024,
    limit: Annotated[
        Optional[int], typer.Option(min=1, help="At most so many records of each task.")
    ] = None,
    shots: Annotated[
        int, typer.Option(min=0, help="Examples before the question, of records not asked.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the draws and the intervals.")] = 0,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Answer LongBench with every system under one protocol: the published main table."""
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever_bench.longbench.answers import AnswerFile
    from s3_retriever_bench.longbench.contexts import Shortener
    from s3_retriever_bench.longbench.figures import figures
    from s3_retriever_bench.longbench.metrics import require_rouge
    from s3_retriever_bench.longbench.records import HUB, load_records
    from s3_retriever_bench.longbench.runner import METHODS, Runner
    from s3_retriever_bench.longbench.shots import draw_shots
    from s3_retriever_bench.longbench.table import page
    from s3_retriever_bench.longbench.tasks import TASKS

    names = parse_names(methods, METHODS, "methods")
    wanted = parse_names(tasks, TASKS, "tasks") if tasks else None
    records = load_records(data or [], tasks=wanted, limit=limit, seed=seed)
    if any(TASKS[record.task].metric == "rouge-l" for record in records):
        require_rouge()
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    settings: dict[str, Any] = {
        "model": engine.llm.name,
        "dtype": engine.llm.describe()["dtype"],
        "window": engine.llm.window,
        "profile": engine.profile.card.name,
        "data": [path.name for path in data] if data else [HUB],
        "tasks": sorted({record.task for record in records}),
        "limit": limit,
        "budget": budget,
        "shots": shots,
        "seed": seed,
    }
    answers = AnswerFile(out, settings)
    shortener = Shortener(engine)
    every = load_records(data or [], tasks=wanted) if shots else []
    examples = draw_shots(shortener, every, set(records), shots, seed=seed)
    runner = Runner(engine, answers, budget=budget, shots=examples, shortener=shortener)

    def write_table() -> str:
        asked = [(record.task, record.id) for record in records]
        found = figures(answers.answers, asked, names, skipped=runner.skipped, seed=seed)
        result = {"settings": settings, **found}
        text = page(result)
        (out / "table.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (out / "table.md").write_text(text, encoding="utf-8")
        return text

    with progress_bar() as bar:
        task = bar.add_task("answers", total=None, note="")
        started = last = time.monotonic()
        at_start = len(answers.answers)

        def show(done: int, total: int) -> None:
            nonlocal last
            bar.update(task, completed=done, total=total, note=f"{done} of {total}")
            new = len(answers.answers) - at_start
            if not new or time.monotonic() - last < _MINUTE:
                return
            last = time.monotonic()
            write_table()  # what is killed has its table, too
            if not errors.is_terminal:  # a log has lines, not a bar
                minutes = (last - started) / _MINUTE / new * (total - done)
                line = f"{done} of {total} answers, about {minutes:.0f} minutes left"
                errors.print(line, highlight=False)

        try:
            runner.run(records, names, show)
        finally:
            text = write_table()
    console.print(text, soft_wrap=True, markup=False, highlight=False)
