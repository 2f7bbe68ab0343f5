"""``s3-retriever-bench record``: whether a change moved what retrieval finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import (
    BudgetOption,
    DeviceOption,
    FiguresOption,
    ModelOption,
    ProfileOption,
    SeedOption,
    check_outputs,
    parse_names,
)
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from s3_retriever_bench.record import Comparison

__all__ = ["record"]


def record(
    data: Annotated[
        Optional[list[Path]],
        typer.Option(
            help="Multi-hop records, asked beside the shipped samples; may be given again."
        ),
    ] = None,
    modes: Annotated[
        Optional[str], typer.Option(help="Names with commas between. Default: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Questions of each set of documents.")] = 15,
    max_tokens: BudgetOption = 512,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    other: Annotated[
        Optional[Path],
        typer.Option(
            "--compare", help="An earlier recording. Exit code 1 if other spans are found now."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative difference of scores that counts as none.")
    ] = 1e-4,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Record what is found in every mode and scoring, and compare it with an earlier recording."""
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.retrieval.presets import mode_names
    from s3_retriever_bench.record import compare, question_sets
    from s3_retriever_bench.record import record as ask

    if json_out is None and other is None:
        raise InputError("give --json to keep the results, or --compare, or both")
    check_outputs(json_out)
    asked = parse_names(modes, mode_names(), "modes")
    before = None if other is None else _read(other)
    sets = question_sets(data or [], limit=limit, seed=seed)
    with waiting("loading the model ..."):
        engine = Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("results", total=None, note="")
        found = ask(
            engine,
            sets,
            modes=asked,
            max_tokens=max_tokens,
            on_result=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json_out:
        json_out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if before is None:
        _print(f"{len(found['results'])} results in {json_out}")
        return
    comparison = compare(before, found, tolerance=tolerance)
    _show(comparison, tolerance)
    if comparison.ids:
        raise typer.Exit(1)


def _read(path: Path) -> Any:
    from s3_retriever.labels.datasets.records import read_text

    try:
        return json.loads(read_text(path))
    except ValueError as e:
        raise InputError(f"{path} is not JSON: {e}") from e


def _show(found: Comparison, tolerance: float) -> None:
    for key in found.ids:
        _print(f"other spans: {_named(*key)}")
    for key, difference in found.scores.items():
        _print(f"other scores, by {difference:.1e}: {_named(*key)}")
    _print(
        f"{found.n} results: {len(found.ids)} with other spans, {len(found.scores)} with scores "
        f"that differ by more than {tolerance:g}; all others by {found.largest:.1e} at most"
    )


def _named(data: str, mode: str, scoring: str, question: str) -> str:
    return f"{data}, {mode}{' ' if scoring else ''}{scoring}: {question}"


def _print(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False, highlight=False)
