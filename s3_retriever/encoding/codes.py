"""Keys of a batch to codes on the host: one encoding for each hookpoint, one copy for all.

On a GPU the copy goes on while the next batch is read: nothing waits before :meth:`Coded.take`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from s3_retriever.encoding.fastest import fastest
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.profile import Profile

__all__ = ["Coded", "code_batch", "code_keys", "id_dtype"]

_MOST_SCORES = 1 << 26
"""Preactivations that are in memory at once: 256 MiB in float32."""
_ID_BYTES = 4


def id_dtype(n_latents: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """The smallest unsigned type that holds every latent's number."""
    return np.dtype(np.uint16) if n_latents <= 1 << 16 else np.dtype(np.uint32)


class Coded:
    """Codes that are on their way to the host."""

    def __init__(self, packed: Tensor) -> None:
        """Start the copy.

        Args:
            packed: ``(n_tokens, n_hookpoints, 5 k)`` uint8: ids as int32, then the steps.
        """
        self._packed = packed
        self._copied: torch.cuda.Event | None = None
        if packed.device.type == "cuda":
            self._packed = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
            self._packed.copy_(packed, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record(torch.cuda.current_stream(packed.device))

    @property
    def on_its_way(self) -> bool:
        """Whether the device computes it while the caller goes on."""
        return self._copied is not None

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Wait for the copy.

        Returns:
            ids ``(n_tokens, n_hookpoints, k)`` int32, strongest first, and steps, the same shape,
            uint8; at a step of 0 the feature is off.
        """
        if self._copied is not None:
            self._copied.synchronize()
        packed = self._packed.cpu().numpy()
        k = packed.shape[-1] // (_ID_BYTES + 1)
        ids = np.ascontiguousarray(packed[..., : _ID_BYTES * k]).view(np.int32)
        return ids, packed[..., _ID_BYTES * k :]


def code_batch(profile: Profile, keys: Mapping[int, Sequence[Tensor]]) -> Coded:
    """The codes of what one forward pass read.

    Args:
        profile: whose hookpoints; its autoencoders are copied to where the keys are, once.
        keys: ``(n_tokens, n_kv_heads, head_dim)`` by layer and chunk.

    Returns:
        Codes of the chunks' tokens, one chunk behind the other.
    """
    parts = []
    for index, hookpoint in enumerate(profile.card.hookpoints):
        heads = list(hookpoint.kv_heads)
        rows = torch.cat([chunk[:, heads].flatten(1) for chunk in keys[hookpoint.layer]])
        sae = profile.on(rows.device).saes[index]
        scale = hookpoint.activation_scale
        ids, steps = fastest(code_keys, sae, rows, scale)(sae, rows, scale)
        parts.append(torch.cat([ids.int().view(torch.uint8), steps], dim=-1))
    return Coded(torch.stack(parts, dim=1))


def code_keys(sae: TopKSae, keys: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The codes of keys as an index stores them.

    Args:
        sae: the hookpoint's autoencoder, where the keys are.
        keys: ``(n, d_in)``.
        scale: activation of one step.

    Returns:
        ids ``(n, k)`` int64, strongest first, and steps ``(n, k)`` uint8, where the keys are.
    """
    found = []
    with torch.inference_mode():
        for rows in keys.split(max(1, _MOST_SCORES // sae.n_latents)):
            codes = sae.encode(rows.float())
            steps = (codes.activations / scale).round_().clamp_(0, 255).byte()
            found.append((codes.ids, steps))
        ids, activations = (torch.cat(column) for column in zip(*found, strict=True))
    return ids, activations
