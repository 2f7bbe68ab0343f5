"""``s3-retriever-bench workers``: how much faster more workers of a Ray cluster read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import (
    DeviceOption,
    GpusOption,
    JsonOption,
    ModelOption,
    ProfileOption,
    parse_numbers,
)

__all__ = ["workers"]


def workers(
    counts: Annotated[
        str, typer.Option("--workers", help="Numbers of workers, compared with the smallest.")
    ] = "1,2",
    ray: Annotated[
        str, typer.Option(metavar="auto|HOST:PORT", help="As of s3-retriever index.")
    ] = "auto",
    gpus_per_worker: GpusOption = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds of each worker.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each number, in turn.")] = 3,
    batch_tokens: Annotated[
        int, typer.Option(min=16, help="Tokens of a batch; a round is about eight.")
    ] = 1024,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the tokens per second that different numbers of Ray workers read."""
    from s3_retriever.cli.demo import sample_text
    from s3_retriever.encoding.runners import ScanPlan
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.settings import ScanSettings
    from s3_retriever_bench.workers_bench import bench_workers

    numbers = parse_numbers(counts, "--workers")
    settings = ScanSettings(batch_tokens=batch_tokens)
    plan = ScanPlan(profile or DEFAULT_PROFILE, model, settings, device=device)
    with waiting("measuring; the machines should be idle ..."):
        result = bench_workers(
            plan,
            sample_text(),
            numbers,
            address=None if ray == "auto" else ray,
            gpus_per_worker=gpus_per_worker,
            rounds_each=rounds,
            repeats=repeats,
        )
    if as_json:
        typer.echo(json.dumps(result))
        return
    for n, rate in result["tokens_per_s"].items():
        console.print(
            f"{n} workers: {rate:,.0f} tokens/s, {result['ratio'][n]:.2f} times as many "
            f"({', '.join(f'{run:,.0f}' for run in result['runs'][n])})",
            highlight=False,
            soft_wrap=True,
        )
