"""The Top-power encoder in one kernel: no score but the best ``k`` of a token is ever stored.

A tile of tokens streams over blocks of latents. A score and its latent are one 64-bit number, the
score's bits (it is not negative, so they order as it does) above the latent's number from the top,
so that ``max`` and ``sort`` move both together and the lower number wins a tie. The best ``k`` of a
block and those so far, one descending and one ascending, give the best of both by an elementwise
maximum, which is bitonic: one merge sorts it (Batcher 1968).

It takes the package triton (extra ``gpu``) and a CUDA device; with ``TRITON_INTERPRET=1`` set
before triton is imported it runs, slowly, on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from s3_retriever.profiles.autoencoder import TopKSae

__all__ = ["fused_code_keys"]

_TOKENS = 32
_LATENTS = 64
_COLUMNS = 32


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x,
    encoder,
    bias,
    b_dec,
    out_ids,
    out_steps,
    scale,
    n_rows,
    d_in,
    n_latents,
    k: tl.constexpr,
    power: tl.constexpr,
    n_tile: tl.constexpr,
    n_block: tl.constexpr,
    n_part: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * n_tile + tl.arange(0, n_tile)
    is_row = rows < n_rows
    best = tl.zeros((n_tile, power), dtype=tl.int64)
    for first in range(0, n_latents, n_block):
        latents = first + tl.arange(0, n_block)
        is_latent = latents < n_latents
        scores = tl.zeros((n_tile, n_block), dtype=tl.float32)
        for start in range(0, d_in, n_part):
            columns = start + tl.arange(0, n_part)
            is_column = columns < d_in
            centre = tl.load(b_dec + columns, mask=is_column, other=0.0)
            part = tl.load(
                x + rows[:, None] * d_in + columns[None, :],
                mask=is_row[:, None] & is_column[None, :],
                other=0.0,
            )
            weights = tl.load(
                encoder + latents.to(tl.int64)[None, :] * d_in + columns[:, None],
                mask=is_latent[None, :] & is_column[:, None],
                other=0.0,
            )
            # not in TF32, whose rounding would choose other latents than torch
            scores = tl.dot(part.to(tl.float32) - centre[None, :], weights, scores, "ieee")
        scores += tl.load(bias + latents, mask=is_latent, other=0.0)[None, :]
        # of two zeros the negative one has the larger bits
        scores = tl.where(is_latent[None, :] & (scores > 0), scores, 0.0)
        bits = scores.to(tl.int32, bitcast=True).to(tl.int64)
        packed = (bits << 32) | (0x7FFFFFFF - latents)[None, :].to(tl.int64)
        block = tl.topk(packed, power)
        best = tl.bitonic_merge(tl.maximum(best, tl.flip(block, 1)), descending=True)
    ids = 0x7FFFFFFF - (best & 0x7FFFFFFF)
    values = (best >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    # adding and taking away 1.5 * 2^23 rounds half to even, as torch does
    steps = tl.math.div_rn(values, tl.full((n_tile, power), 0.0, tl.float32) + scale)
    steps = (tl.minimum(steps, 255.0) + 12582912.0) - 12582912.0
    place = tl.arange(0, power)
    out = rows[:, None] * k + place[None, :]
    wanted = is_row[:, None] & (place < k)[None, :]
    tl.store(out_ids + out, ids.to(tl.int32), mask=wanted)
    tl.store(out_steps + out, steps.to(tl.uint8), mask=wanted)


def fused_code_keys(sae: TopKSae, keys: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """:func:`~s3_retriever.encoding.codes.code_keys` by the kernel.

    Args:
        sae: the hookpoint's autoencoder, where the keys are.
        keys: ``(n, d_in)``, of any float dtype.
        scale: activation of one step.

    Returns:
        ids ``(n, k)`` int32, strongest first, and steps ``(n, k)`` uint8, where the keys are. Which
        latents fill up a row that has fewer than ``k`` above 0 may be others than torch's; their
        steps are 0 with both.
    """
    keys = keys.contiguous()
    n, k = len(keys), sae.k
    ids = torch.empty((n, k), dtype=torch.int32, device=keys.device)
    steps = torch.empty((n, k), dtype=torch.uint8, device=keys.device)
    power = triton.next_power_of_2(k)
    grid: tuple[Any, ...] = (triton.cdiv(n, _TOKENS),)
    if n:
        _kernel[grid](
            keys,
            sae.encoder.weight,
            sae.encoder.bias,
            sae.b_dec,
            ids,
            steps,
            scale,
            n,
            sae.d_in,
            sae.n_latents,
            k=k,
            power=power,
            n_tile=_TOKENS,
            n_block=max(_LATENTS, power),
            n_part=_COLUMNS,
        )
    return ids, steps
