"""Which encoder codes a batch: on a GPU the faster of two, by a measurement on the first batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from s3_retriever.forking import ForkLock
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.quoting import why

__all__ = ["Coder", "fastest", "fused"]

logger = logging.getLogger(__name__)

Coder = Callable[[TopKSae, Tensor, float], tuple[Tensor, Tensor]]
"""Autoencoder, keys ``(n, d_in)`` and the size of a step to ids ``(n, k)`` and uint8 steps."""
_RUNS = 3
_lock = ForkLock()
_chosen: dict[tuple[torch.device, int, int, int, int], Coder] = {}


@cache
def fused() -> Coder | None:
    """The kernel of :mod:`~s3_retriever.encoding.fused_topk`; ``None`` without triton."""
    try:
        from s3_retriever.encoding.fused_topk import fused_code_keys
    except ImportError:
        return None
    return fused_code_keys


def fastest(plain: Coder, sae: TopKSae, keys: Tensor, scale: float) -> Coder:
    """``plain``, or the kernel where it codes keys like these in less time.

    It is measured once for a device, an autoencoder's size and a batch's (to the next power of
    two), so a process may choose otherwise than another: where both are nearly as fast, it does
    not matter for time, and codes differ in near ties alone.

    Args:
        plain: codes with torch.
        sae: the autoencoder, where the keys are.
        keys: ``(n, d_in)``.
        scale: activation of one step.
    """
    kernel = fused() if keys.device.type == "cuda" else None
    if kernel is None or not len(keys):
        return plain
    size = (sae.d_in, sae.n_latents, sae.k, len(keys).bit_length())
    with _lock:
        key = (keys.device, *size)
        if key not in _chosen:
            try:
                taken = {coder: _milliseconds(coder, sae, keys, scale) for coder in (plain, kernel)}
                _chosen[key] = min(taken, key=lambda coder: taken[coder])
                logger.info("coding %s: torch %.2f ms, kernel %.2f ms", size, *taken.values())
            except Exception as e:  # of the compiler, which has many
                logger.warning("the fused encoder does not run here: %s", why(e))
                _chosen[key] = plain
        return _chosen[key]


def _milliseconds(coder: Coder, sae: TopKSae, keys: Tensor, scale: float) -> float:
    """The least of some runs, after one that compiles."""
    coder(sae, keys, scale)
    times: list[float] = []
    for _ in range(_RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        coder(sae, keys, scale)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return min(times)
