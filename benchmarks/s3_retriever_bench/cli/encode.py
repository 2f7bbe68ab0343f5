"""``s3-retriever-bench encode``: coding keys with torch and with the fused kernel."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import DeviceOption, JsonOption, ProfileOption

__all__ = ["encode"]


def encode(
    profile: ProfileOption = None,
    device: DeviceOption = None,
    tokens: Annotated[int, typer.Option(min=1, help="Keys that are coded together.")] = 4096,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Compare torch with the fused Top-K encoder, at a profile's and the published size."""
    import torch

    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever_bench.encode_bench import PUBLISHED, SaeSize, bench_encode

    loaded = Profile.load(profile or DEFAULT_PROFILE)
    sizes = {SaeSize(sae.d_in, sae.n_latents, sae.k): None for sae in loaded.saes}
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with waiting("measuring; the machine should be idle ..."):
        result = bench_encode([*sizes, PUBLISHED], device=where, tokens=tokens, repeats=repeats)
    if as_json:
        typer.echo(json.dumps(result))
        return
    table = Table("d", "latents", "k", "torch ms", "fused ms", "torch MB", "fused MB", "same ids")
    for row in result["sizes"]:
        table.add_row(
            *(f"{row[name]:,}" for name in ("d_in", "n_latents", "k")),
            *(_shown(row[name]) for name in ("torch_ms", "fused_ms")),
            *(_shown(row[name], 1e6) for name in ("torch_bytes", "fused_bytes")),
            _shown(row["same_ids"]),
        )
    console.print(table)
    console.print(f"{tokens:,} tokens, {result['device']}; - : takes a CUDA device and triton")


def _shown(value: Any, unit: float = 1) -> str:
    return "-" if value is None else f"{value / unit:,.2f}"
