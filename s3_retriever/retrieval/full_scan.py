"""The blocks that hold the tokens with most attention: every token is looked at, cheaply.

Keys are dense vectors of few dimensions in sparse clothing, so no short list of latents says which
tokens a query likes best; the sums of all of a token's latents do. A token's peak (the most that
any query token of any head adds to its score) takes a fifth of the work of its score, needs no
softmax over all tokens, and puts nearly all of the exhaustive best into a few hundred blocks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from s3_retriever.retrieval.scoring.attention import LANES, AttentionScorer
from s3_retriever.search.filters import Filter
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import TokenBatch, TokenRange

__all__ = ["best_blocks"]

_CHUNK = 1 << 12
"""Tokens at once: their peaks' intermediate results stay in a core's cache."""

_REGISTER = 16
"""Numbers in the widest vector register."""

_SAMPLE = 128
"""Blocks that stand for the index in the estimate of how much attention there is."""


def best_blocks(
    store: CodeStore, scorer: AttentionScorer, k: int, filter: Filter | None = None
) -> list[TokenRange]:
    """The ``k`` blocks whose best token has the highest peak, best first.

    Args:
        store: where the codes are.
        scorer: of the question.
        k: most blocks.
        filter: only documents whose metadata pass.
    """
    if k < 1:
        return []
    sample = store.sample_blocks(filter, _SAMPLE)
    if not len(sample):
        return []
    with torch.inference_mode():
        tables = _Tables(scorer, sample)
        peaks, blocks = [], []
        for part in store.scan_blocks(filter, _CHUNK):
            best = tables.peaks(part.ids, part.activations)
            peaks.append(np.maximum.reduceat(best, np.cumsum(part.lengths) - part.lengths))
            blocks.append(part.blocks)
    order = np.argsort(-np.concatenate(peaks), kind="stable")[:k]
    return store.block_ranges(np.concatenate(blocks)[order].tolist())


class _Tables:
    """The question's tables, made ready for many tokens."""

    def __init__(self, scorer: AttentionScorer, sample: TokenBatch) -> None:
        """``sample`` stands for the index."""
        self._tables: list[tuple[int, list[Tensor]]] = []
        logits = scorer.logits(sample.ids, sample.activations)
        for (hookpoint, table, weights), found in zip(scorer.lanes(), logits, strict=False):
            # what makes a logit the logarithm of a weighted share, but for a constant
            offsets = weights.clamp_min(0).log() - found.logsumexp(0) + np.log(len(sample))
            parts = zip(table.split(LANES, 1), offsets.split(LANES), strict=True)
            self._tables.append((hookpoint, [_with_offsets(*part) for part in parts]))

    def peaks(self, ids: np.ndarray, activations: np.ndarray) -> np.ndarray:
        """``(n,)`` float32 peaks of tokens by their codes ``(n, n_hookpoints, k)``."""
        n, _, k = ids.shape
        found = []
        for hookpoint, pieces in self._tables:
            bags = np.full((n, k + 1), len(pieces[0]) - 1, dtype=np.int32)
            bags[:, :k] = ids[:, hookpoint]
            steps = np.ones((n, k + 1), dtype=np.float32)
            steps[:, :k] = activations[:, hookpoint]
            there = [torch.from_numpy(a).to(pieces[0].device) for a in (bags, steps)]
            found += [
                embedding_bag(there[0], piece, per_sample_weights=there[1], mode="sum").amax(1)
                for piece in pieces
            ]
        peaks: np.ndarray = torch.stack(found).amax(0).cpu().numpy()
        return peaks


def _with_offsets(table: Tensor, offsets: Tensor) -> Tensor:
    """The table with one latent more, which every token has: it adds the offsets for nothing.

    Lanes are filled up to the width of a vector register; those are never the highest.
    """
    filling = -len(offsets) % _REGISTER
    last = pad(offsets, (0, filling), value=-np.inf)
    return torch.cat([pad(table, (0, filling)), last[None]])
