"""``s3-retriever train``: a profile for a model, from plain text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, progress_bar
from s3_retriever.cli.options import recorded_command
from s3_retriever.quoting import brief
from s3_retriever.settings import SaeSettings, ScanSettings

__all__ = ["train"]

_DEFAULTS = SaeSettings()


def train(
    model: Annotated[str, typer.Option(help="Hub id, folder or .gguf file.")],
    corpus: Annotated[list[Path], typer.Option(help="Text file to train on; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the new profile.")],
    layers: Annotated[
        Optional[str],
        typer.Option(
            help="Layers, e.g. 17,18; with some key heads only: 17:1,18:0+2. "
            "Default: the published ones of the model."
        ),
    ] = None,
    heads: Annotated[
        str, typer.Option(help="Query heads for attention scoring, e.g. 17.3,17.5,18.6.")
    ] = "",
    held_out: Annotated[
        Optional[list[Path]],
        typer.Option(help="Text file to measure on. Default: the last 5% of the corpus."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the profile. Default: the folder's.")] = "",
    expansion: Annotated[int, typer.Option(help="Latents per dimension.")] = _DEFAULTS.expansion,
    latents: Annotated[
        Optional[int],
        typer.Option(help="Number of latents; overrides --expansion."),
    ] = None,
    k: Annotated[int, typer.Option(help="Active latents per token.")] = _DEFAULTS.k,
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = _DEFAULTS.steps,
    batch_tokens: Annotated[int, typer.Option(help="Tokens per step.")] = _DEFAULTS.batch_tokens,
    learning_rate: Annotated[
        Optional[float],
        typer.Option(help="Adam's peak rate. Default: 2e-4 / sqrt(latents / 16384)."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Read before each chunk and left out; takes the attention sinks.")
    ] = "Document:\n",
    bos: Annotated[
        Optional[bool],
        typer.Option(
            "--bos/--no-bos",
            help="Put the beginning-of-text token before prefix and question. "
            "Default: as the model's tokenizer does.",
        ),
    ] = None,
    max_tokens: Annotated[
        Optional[int],
        typer.Option(help="Use about as many tokens, spread over the corpus. Default: all."),
    ] = None,
    chunk_tokens: Annotated[int, typer.Option(help="Tokens read at once.")] = 2048,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1. Default: the best.")] = "",
) -> None:
    """Train sparse autoencoders for a model and write its profile.

    Run the same command again after an interruption: it goes on where it stopped.
    """
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.training.recipe import default_layers, make_profile, parse_heads, parse_sites

    settings = SaeSettings(
        expansion=expansion,
        latents=latents,
        k=k,
        steps=steps,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        seed=seed,
    )
    llm = TransformersModel.load(model, device=device or None)
    wanted = layers or ",".join(map(str, default_layers(model)))
    tasks: dict[str, Any] = {}
    with progress_bar() as bar:

        def report(stage: str, done: int, total: int, value: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, note="")
            note = f"FVU {value:.3f}" if isinstance(value, float) else ""
            bar.update(tasks[stage], completed=done, note=note)

        card = make_profile(
            llm,
            name=name or out.name,
            corpus=corpus,
            held_out=held_out or [],
            sites=parse_sites(wanted, llm.layout),
            heads=parse_heads(heads),
            settings=settings,
            scan=ScanSettings(chunk_tokens=chunk_tokens),
            prefix=prefix,
            bos=llm.adds_bos if bos is None else bos,
            max_tokens=max_tokens,
            out=out,
            command=recorded_command(sys.argv[1:]),
            report=report,
        )
    for hookpoint in card.hookpoints:
        console.print(
            f"{brief(hookpoint.folder)}: FVU {hookpoint.fvu:.3f}, "
            f"dead latents {hookpoint.dead_fraction:.1%} on held-out text",
            soft_wrap=True,
        )
    console.print(f"Wrote {brief(out)}. Use it with --profile {brief(out)}", soft_wrap=True)
