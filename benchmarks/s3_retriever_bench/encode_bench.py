"""Coding keys with torch against the fused kernel, at given sizes of the autoencoder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from s3_retriever.encoding.codes import code_keys
from s3_retriever.encoding.fastest import Coder, fused
from s3_retriever.errors import InputError
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever_bench.device import peak_memory, synchronize
from s3_retriever_bench.scan_bench import device_name

__all__ = ["PUBLISHED", "SaeSize", "bench_encode"]

_SCALE = 0.02


class SaeSize(NamedTuple):
    """Of an autoencoder."""

    d_in: int
    """Numbers of a key."""
    n_latents: int
    """Directions of the dictionary."""
    k: int
    """Active ones of a token."""


PUBLISHED = SaeSize(1024, 131_072, 128)
"""Keys of eight heads of 128, expanded 128 times (S3-Attention, arXiv 2601.17702)."""


def bench_encode(
    sizes: Sequence[SaeSize], *, device: torch.device, tokens: int = 4096, repeats: int = 5
) -> dict[str, Any]:
    """Measure both encoders on random keys and weights; runs alternate.

    Args:
        sizes: of the autoencoders.
        device: where they are.
        tokens: keys that are coded together.
        repeats: timed runs of each, after one that warms up.

    Returns:
        ``sizes``: for each its numbers, ``torch_ms`` and ``fused_ms`` (medians; ``None`` where the
        kernel does not run), ``speedup``, ``torch_bytes`` and ``fused_bytes`` (peak memory above
        what was in use), ``same_ids`` (share of the ids that both find); ``device``, ``tokens``
        and ``repeats``.

    Raises:
        InputError: a number below 1.
    """
    if min(tokens, repeats) < 1:
        raise InputError("tokens and repeats must be at least 1")
    measured = [_measure(size, device, tokens, repeats) for size in sizes]
    return {
        "sizes": measured,
        "device": device_name(device),
        "tokens": tokens,
        "repeats": repeats,
    }


@torch.inference_mode()
def _measure(size: SaeSize, device: torch.device, tokens: int, repeats: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    sae = TopKSae(*size).to(device)
    keys = torch.randn(tokens, size.d_in, generator=generator).to(device)
    coders: dict[str, Coder] = {"torch": code_keys}
    kernel = fused() if device.type == "cuda" else None
    if kernel is not None:
        coders["fused"] = kernel
    found: dict[str, Tensor] = {}
    peaks: dict[str, int] = {}
    for name, coder in coders.items():  # warms up
        with peak_memory(device) as peak:
            found[name] = coder(sae, keys, _SCALE)[0].long()
        peaks[name] = peak.bytes
    times: dict[str, list[float]] = {name: [] for name in coders}
    for _ in range(repeats):
        for name, coder in coders.items():
            synchronize(device)
            began = time.perf_counter()
            coder(sae, keys, _SCALE)
            synchronize(device)
            times[name].append(1000 * (time.perf_counter() - began))
    ms = {name: round(statistics.median(taken), 3) for name, taken in times.items()}
    both = kernel is not None
    return {
        **size._asdict(),
        "torch_ms": ms["torch"],
        "fused_ms": ms.get("fused"),
        "speedup": round(ms["torch"] / ms["fused"], 2) if both else None,
        "torch_bytes": peaks["torch"],
        "fused_bytes": peaks.get("fused"),
        "same_ids": round(_same(found["torch"], found["fused"]), 5) if both else None,
    }


def _same(one: Tensor, other: Tensor) -> float:
    """The share of ids ``(n, k)`` that stand in both rows, whatever their order."""
    rows = zip(one.tolist(), other.tolist(), strict=True)
    return sum(len(set(a) & set(b)) for a, b in rows) / one.numel()
