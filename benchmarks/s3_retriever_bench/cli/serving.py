"""``s3-retriever-bench serve``: a server and its clients."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import (
    BudgetOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ModeOption,
    ProfileOption,
)
from s3_retriever.errors import InputError

__all__ = ["serve"]


def serve(
    corpus: Annotated[
        Optional[list[Path]],
        typer.Argument(help="Files and folders to read. Default: the shipped samples."),
    ] = None,
    clients: Annotated[
        Optional[list[int]], typer.Option(min=1, help="Clients; may be given again: 1 and 16.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each run.")] = 20,
    processes: Annotated[
        Optional[int], typer.Option(min=0, help="As of s3-retriever serve.")
    ] = None,
    mode: ModeOption = "fast",
    max_tokens: BudgetOption = 256,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a server's questions a second with one client and with several."""
    from s3_retriever.cli.demo import sample_documents
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.readers.files import read_files
    from s3_retriever_bench.serving_bench import bench_serving, make_questions

    documents = list(read_files(corpus).documents) if corpus else sample_documents()
    if not documents:
        raise InputError("there is nothing to read")
    used = profile or DEFAULT_PROFILE
    options = ["--profile", used]
    for name, value in (("--model", model), ("--device", device), ("--processes", processes)):
        options += [] if value is None else [name, str(value)]
    with tempfile.TemporaryDirectory() as folder, waiting("loading the model ...") as say:
        engine = Engine.from_profile(used, Path(folder) / "index", model=model, device=device)
        say("reading the documents ...")
        engine.add(documents)
        say("measuring; the machine should be idle ...")
        result = bench_serving(
            engine,
            make_questions(documents),
            options,
            clients=clients or (1, 16),
            seconds=seconds,
            mode=mode or "fast",
            max_tokens=max_tokens,
        )
    if as_json:
        typer.echo(json.dumps(result))
        return
    table = Table("clients", "questions/s", "p50 ms", "p95 ms", "questions a pass", "refused")
    for run in result["runs"]:
        names = ("clients", "per_second", "p50_ms", "p95_ms", "questions_per_pass", "refused")
        table.add_row(*(str(run[name]) for name in names))
    console.print(table)
    console.print(
        f"{result['speedup']} times the questions a second; {result['same_spans']:.1%} of the "
        f"answers have the spans of an engine alone, {result['same_order']:.1%} in the same order; "
        f"mode {result['mode']}, {result['tokens']:,} tokens, {result['device']} "
        f"({result['dtype']})",
        soft_wrap=True,
    )
