"""Reading texts chunk by chunk, each alone behind a constant prefix that is then dropped.

A model's first tokens are attention sinks whose keys say "first" and would drown every other
score; behind a prefix no token of the text is one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from s3_retriever.encoding.chunks import chunks_of
from s3_retriever.errors import ProfileError
from s3_retriever.models.base import KeyReader

__all__ = ["ChunkReader"]


class ChunkReader:
    r"""Gives keys of chunks as a scan sees them.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> reader = ChunkReader(llm, "Document:\n", bos=False, chunk_tokens=2048)
        >>> ids = llm.tokenize("Cats sleep most of the day.").ids
        >>> len(reader.read_text(ids, [17])[17]) == len(ids)
        True
    """

    def __init__(self, llm: KeyReader, prefix: str, *, bos: bool, chunk_tokens: int) -> None:
        """Make room for the prefix in the model's window.

        Args:
            llm: the resident model.
            prefix: read before each chunk and left out.
            bos: whether the beginning-of-text token stands before it.
            chunk_tokens: longest chunk, the prefix not counted.

        Raises:
            ProfileError: the prefix leaves no room for text.
        """
        self._llm = llm
        self.prefix = llm.prefix_ids(prefix, bos=bos)
        """``(n_prefix,)`` int32."""
        self.chunk_tokens = min(chunk_tokens, llm.window - len(self.prefix))
        """Longest chunk that fits, the prefix not counted."""
        if self.chunk_tokens < 1:
            raise ProfileError("the profile's chunk_prefix fills the model's whole window")

    def chunks(self, n_tokens: int) -> list[tuple[int, int]]:
        """Bounds of the chunks of a text."""
        return list(chunks_of(n_tokens, self.chunk_tokens))

    def read(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int]
    ) -> Mapping[int, Sequence[Tensor]]:
        """Keys ``(n_tokens, n_kv_heads, head_dim)`` by layer and chunk, in one forward pass.

        Args:
            chunks: token ids ``(n_tokens,)`` of each.
            layers: whose keys.
        """
        return self._llm.read_keys(chunks, layers, self.prefix)

    def read_text(self, ids: np.ndarray, layers: Sequence[int]) -> dict[int, Tensor]:
        """Keys ``(n_tokens, n_kv_heads, head_dim)`` of a whole text, by layer.

        Args:
            ids: token ids ``(n_tokens,)``, at least one.
            layers: whose keys.
        """
        read = [self.read([ids[a:b]], layers) for a, b in self.chunks(len(ids))]
        return {layer: torch.cat([found[layer][0] for found in read]) for layer in read[0]}
