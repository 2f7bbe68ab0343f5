"""The keys of a document as a scan sees them, kept whole instead of coded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from s3_retriever.generator.generator import Generator
from s3_retriever.profile import Profile
from s3_retriever.scan.chunks import chunks_of

__all__ = ["read_keys"]


def read_keys(
    generator: Generator, profile: Profile, ids: np.ndarray, *, chunk_tokens: int, prefix: str
) -> list[Tensor]:
    """Read token ids chunk by chunk, each chunk alone behind a prefix that is then dropped.

    Args:
        generator: the resident model.
        profile: names the hookpoints.
        ids: ``(n_tokens,)`` int32.
        chunk_tokens: of one chunk, the prefix not counted.
        prefix: the profile's own, or empty as published.

    Returns:
        For each hookpoint ``(n_tokens, d_in)`` float32 on the CPU.
    """
    card = profile.card
    before = generator.prefix_ids(prefix, bos=card.bos)
    parts: list[list[Tensor]] = [[] for _ in card.hookpoints]
    for start, end in chunks_of(len(ids), chunk_tokens):
        chunk = np.append(before, ids[start:end])
        found = generator.project([chunk], profile.layers).keys
        for part, hookpoint in zip(parts, card.hookpoints, strict=True):
            keys = found[hookpoint.layer][0, len(before) :, list(hookpoint.kv_heads)]
            part.append(keys.flatten(1).float().cpu())
    return [torch.cat(part) for part in parts]
