"""``s3-retriever bench``: speed and memory, measured against what would be done otherwise."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import DeviceOption, JsonOption, ModelOption, ProfileOption

__all__ = ["bench"]

bench = typer.Typer(help="Measure speed and memory.", no_args_is_help=True)


@bench.callback()
def _root() -> None:
    """Measure speed and memory."""


@bench.command()
def scan(
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    tokens: Annotated[int, typer.Option(min=1, help="Length of the timed document.")] = 8192,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 3,
    lengths: Annotated[
        str, typer.Option(help="Document lengths for the memory measurement, in tokens.")
    ] = "4096,16384,65536",
    chunk_tokens: Annotated[int, typer.Option(min=16, help="Tokens read at once.")] = 2048,
    as_json: JsonOption = False,
) -> None:
    """Compare the scan's tokens per second with the model's own prefill, in one run."""
    from s3_retriever.cli.demo import sample_documents
    from s3_retriever.config import ScanSettings
    from s3_retriever.engine import DEFAULT_PROFILE
    from s3_retriever.errors import InputError
    from s3_retriever.evaluate.scan_bench import bench_scan
    from s3_retriever.generator.generator import Generator
    from s3_retriever.profile import Profile

    try:
        wanted = [int(length) for length in lengths.split(",")]
    except ValueError as e:
        raise InputError(f"--lengths takes e.g. 4096,65536, not {lengths!r}") from e
    with waiting("loading the model ...") as say:
        loaded = Profile.load(profile or DEFAULT_PROFILE)
        generator = Generator.load(model or loaded.card.model, device=device)
        loaded.check_generator(generator)
        say("measuring; the machine should be idle ...")
        result = bench_scan(
            generator,
            loaded,
            "\n\n".join(document.text for document in sample_documents()),
            tokens=tokens,
            repeats=repeats,
            lengths=wanted,
            settings=ScanSettings(chunk_tokens=chunk_tokens),
        )
    if as_json:
        typer.echo(json.dumps(result))
        return
    console.print(
        f"scan {result['scan_tokens_per_s']:,.0f} tokens/s, "
        f"prefill {result['prefill_tokens_per_s']:,.0f} tokens/s: "
        f"{result['ratio']:.2f} times as fast, ending at layer {result['last_layer']} of "
        f"{result['n_layers']} on {result['device']} ({result['dtype']})",
        soft_wrap=True,
    )
    for length, peak in result["peak_memory_bytes"].items():
        console.print(f"peak memory for {int(length):,} tokens: {peak / 1e6:,.0f} MB")
    console.print(f"({result['memory']}, above what was in use before)")
