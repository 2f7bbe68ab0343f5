"""Reading texts for the queries and keys of chosen layers: padded, cut short, and sorted out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.families import AttentionLayout
from s3_retriever.models.hooks import Projections, read_projections

__all__ = ["ProjectionReader", "alike"]

_PASS_TOKENS = 32
"""What a forward pass costs on a CPU beside its tokens, as so many of them: the weights have to be
read from memory. The model's size does not matter, since tokens cost more with it, too."""


class ProjectionReader:
    """Reads keys and queries with a causal language model of :mod:`transformers`.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> reader = ProjectionReader(llm.model, llm.layout, llm.lock)
        >>> ids = llm.tokenize("Who?").ids
        >>> tuple(reader.read_queries([ids], [17])[17][0].shape)  # tokens, heads, head_dim
        (2, 9, 64)
    """

    def __init__(
        self, model: Any, layout: AttentionLayout, lock: AbstractContextManager[Any]
    ) -> None:
        """Take what is already in memory.

        Args:
            model: a causal language model.
            layout: the shape of its attention.
            lock: taken for each forward pass.
        """
        self._model = model
        self._layout = layout
        self._lock = lock

    def project(
        self,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        with_keys: bool = True,
        with_queries: bool = False,
    ) -> Projections:
        """Queries and keys of several chunks in one forward pass that ends at the last layer asked.

        Args:
            chunks: token ids ``(n_tokens,)`` of each; shorter ones are padded on the right.
            layers: the layers to read.
            with_keys: collect keys.
            with_queries: collect queries.

        Returns:
            Padded positions included: ``(n_chunks, longest, heads, head_dim)`` a layer.
        """
        width = max(len(chunk) for chunk in chunks)
        batch = np.zeros((len(chunks), width), dtype=np.int64)
        for row, chunk in zip(batch, chunks, strict=True):
            row[: len(chunk)] = chunk
        input_ids = torch.from_numpy(batch).to(self._model.device)
        with self._lock:
            return read_projections(
                self._model,
                self._layout,
                input_ids,
                layers,
                with_keys=with_keys,
                with_queries=with_queries,
            )

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.KeyReader`."""
        behind = [np.concatenate([prefix, chunk]) for chunk in chunks]
        found = self.project(behind, layers).keys
        return {
            layer: [row[len(prefix) : len(ids)] for row, ids in zip(keys, behind, strict=True)]
            for layer, keys in found.items()
        }

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.QueryReader`.

        On a CPU texts of very different lengths are read in several passes: there every token of
        padding costs as much as one of text.
        """
        lengths = [len(ids) for ids in texts]
        groups = [list(range(len(texts)))]
        if self._model.device.type == "cpu":
            groups = alike(lengths, _PASS_TOKENS)
        by_text: dict[tuple[int, int], Tensor] = {}
        for group in groups:
            chunks = [texts[n] for n in group]
            found = self.project(chunks, layers, with_keys=False, with_queries=True).queries
            for layer, queries in found.items():
                for n, row in zip(group, queries, strict=True):
                    by_text[layer, n] = row[: lengths[n]]
        return {layer: [by_text[layer, n] for n in range(len(texts))] for layer in layers}


def alike(lengths: Sequence[int], pass_tokens: int) -> list[list[int]]:
    """Texts in groups that together are read with the least work, padding included.

    Args:
        lengths: of the texts, in tokens.
        pass_tokens: what one group more costs, as so many tokens.

    Returns:
        Numbers of texts, each in one group.

    Example:
        >>> alike([90, 10, 11, 91], 32), alike([90, 10, 11, 91], 256)
        ([[1, 2], [0, 3]], [[1, 2, 0, 3]])
    """
    order = sorted(range(len(lengths)), key=lambda n: lengths[n])
    # the least work for the first so many texts, and where the last of their groups begins
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        best.append(
            min((best[at][0] + pass_tokens + (end - at) * longest, at) for at in range(end))
        )
    groups = []
    end = len(order)
    while end:
        begin = best[end][1]
        groups.append(order[begin:end])
        end = begin
    return groups[::-1]
