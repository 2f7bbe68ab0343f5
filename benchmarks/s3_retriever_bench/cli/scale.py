"""``s3-retriever-bench scale``: what many tokens need, and how fast many shards answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3_retriever.cli.display import console
from s3_retriever.cli.options import JsonOption, parse_numbers
from s3_retriever_bench.markdown import table

if TYPE_CHECKING:
    from s3_retriever_bench.capacity import Needs

__all__ = ["scale"]


def scale(
    tokens: Annotated[str, typer.Option(help="Sizes of the whole index, in millions.")] = (
        "1000,100000"
    ),
    shard_tokens: Annotated[int, typer.Option(min=1, help="Of a shard, in millions.")] = 100,
    replicas: Annotated[int, typer.Option(min=1, help="Of each shard.")] = 2,
    shards: Annotated[str, typer.Option(help="Numbers of shards that are simulated.")] = (
        "1,10,100,1000"
    ),
    slow: Annotated[
        float, typer.Option(min=1, help="One replica of one shard takes so many times as long.")
    ] = 5.0,
    questions: Annotated[int, typer.Option(min=1, help="Simulated questions.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Work out what many tokens need, and simulate questions to all shards. No model is loaded."""
    from s3_retriever_bench.capacity import MEASURED, growth_of, needs
    from s3_retriever_bench.fan_out import FanOut, simulate

    sizes = [n * 1e6 for n in parse_numbers(tokens, "--tokens")]
    found = [needs(n, shard_tokens * 1e6, replicas=replicas) for n in sizes]
    shard = needs(shard_tokens * 1e6, shard_tokens * 1e6)
    simulated = []
    for n in parse_numbers(shards, "--shards"):
        for factor in dict.fromkeys((1.0, slow)):
            setup = FanOut(shard.p50_ms, shard.p95_ms, growth=growth_of(MEASURED), slow=factor)
            for hedge in (False, True):
                latencies = simulate(setup, n, hedge=hedge, questions=questions, seed=seed)
                row = {"shards": n, "slow": factor, "hedged": hedge}
                simulated.append({**row, **dataclasses.asdict(latencies)})
    if as_json:
        record = {
            "measured": dataclasses.asdict(MEASURED),
            "needs": [
                {"tokens": n, **dataclasses.asdict(f)} for n, f in zip(sizes, found, strict=True)
            ],
            "simulated": simulated,
        }
        typer.echo(json.dumps(record))
        return
    for lines in (_needs(sizes, found), _simulated(simulated)):
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _needs(sizes: Sequence[float], found: Sequence[Needs]) -> list[str]:
    """A column a size."""

    def row(name: str, form: Callable[[Needs], str]) -> list[str]:
        return [name, *map(form, found)]

    rows = [
        row("shards", lambda n: f"{n.shards:,}"),
        row("reading, core hours", lambda n: f"{n.scan_core_hours:,.0f}"),
        row("commits, hours, all shards side by side", lambda n: f"{n.commit_hours:,.2f}"),
        row("commits, hours, one writer", lambda n: f"{n.commit_hours * n.shards:,.1f}"),
        row("disk, all replicas, TB", lambda n: f"{n.disk_bytes / 1e12:,.2f}"),
        row("memory of open indexes, all replicas, GB", lambda n: f"{n.memory_bytes / 1e9:,.0f}"),
        row("`fast` in one shard: p50, p95, ms", lambda n: f"{n.p50_ms:.0f}, {n.p95_ms:.0f}"),
        row("`fast`: processor time of a question, s", lambda n: f"{n.question_core_s:,.2f}"),
        row("`fast`: codes read by a question, MB", lambda n: f"{n.question_bytes / 1e6:,.1f}"),
        row("`features`: processor time, s", lambda n: f"{n.full_scan_core_s:,.0f}"),
    ]
    return [*table(["tokens", *(f"{n / 1e9:g} billion" for n in sizes)], rows), ""]


def _simulated(simulated: Sequence[dict[str, Any]]) -> list[str]:
    """A row a setup."""
    rows = [
        [
            f"{row['shards']:,}",
            f"{row['slow']:g} times" if row["slow"] > 1 else "none",
            "yes" if row["hedged"] else "no",
            *(f"{row[name]:.0f}" for name in ("p50", "p95", "p99")),
            f"{row['extra_load']:.1%}",
        ]
        for row in simulated
    ]
    header = ["shards", "slow replica", "hedged", "p50, ms", "p95, ms", "p99, ms", "more requests"]
    return table(header, rows)
