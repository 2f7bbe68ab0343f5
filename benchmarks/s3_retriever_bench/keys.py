"""The keys of a document as a scan sees them, kept whole instead of coded."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from s3_retriever.encoding.chunk_reader import ChunkReader
from s3_retriever.models.base import KeyReader
from s3_retriever.profiles.profile import Profile

__all__ = ["read_keys"]


def read_keys(
    llm: KeyReader, profile: Profile, ids: np.ndarray, *, chunk_tokens: int, prefix: str
) -> list[Tensor]:
    """Read token ids chunk by chunk, each chunk alone behind a prefix that is then dropped.

    Args:
        llm: the resident model.
        profile: names the hookpoints.
        ids: ``(n_tokens,)`` int32.
        chunk_tokens: of one chunk, the prefix not counted.
        prefix: the profile's own, or empty as published.

    Returns:
        For each hookpoint ``(n_tokens, d_in)`` float32 on the CPU.
    """
    card = profile.card
    reader = ChunkReader(llm, prefix, bos=card.bos, chunk_tokens=chunk_tokens)
    found = reader.read_text(ids, profile.layers)
    return [
        found[hookpoint.layer][:, list(hookpoint.kv_heads)].flatten(1).float().cpu()
        for hookpoint in card.hookpoints
    ]
