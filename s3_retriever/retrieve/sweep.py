"""The blocks that hold the tokens with most attention: every token is looked at, cheaply.

Keys are dense vectors of few dimensions in sparse clothing, so no short list of latents says which
tokens a query likes best; the sums of all of a token's latents do. A token's peak (the most that
any query token of any head adds to its score) takes a fifth of the work of its score, needs no
softmax over all tokens, and puts nearly all of the exhaustive best into a few hundred blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from s3_retriever.index.candidates import Block
from s3_retriever.index.segment import Segment
from s3_retriever.index.store import Snapshot
from s3_retriever.retrieve.scoring import LANES, AttentionScorer

__all__ = ["best_blocks"]

_CHUNK = 1 << 12
"""Tokens at once: their peaks' intermediate results stay in a core's cache."""

_REGISTER = 16
"""Numbers in the widest vector register."""

_SAMPLE = 128
"""Blocks that stand for the index in the estimate of how much attention there is."""


def best_blocks(
    snapshot: Snapshot,
    scorer: AttentionScorer,
    k: int,
    documents: Mapping[str, Sequence[int]] | None = None,
) -> list[Block]:
    """The ``k`` blocks whose best token has the highest peak, best first.

    Args:
        snapshot: the index's state.
        scorer: of the question.
        k: most blocks.
        documents: only these (numbers by segment name); ``None`` allows all.
    """
    allowed = _allowed(snapshot, documents)
    if not allowed or k < 1:
        return []
    with torch.inference_mode():
        sweep = _Sweep(scorer, *_sample(allowed))
        peaks = np.concatenate([_peaks(*part, sweep) for part in allowed])
    order = np.argsort(-peaks, kind="stable")[:k]
    ends = np.cumsum([len(numbers) for _, numbers in allowed])
    parts = np.searchsorted(ends, order, side="right")
    return [
        Block(allowed[part][0].name, int(allowed[part][1][place - ends[part]]))  # from its end
        for part, place in zip(parts, order, strict=True)
    ]


class _Sweep:
    """The question's tables, made ready for many tokens."""

    def __init__(self, scorer: AttentionScorer, ids: np.ndarray, activations: np.ndarray) -> None:
        """``ids`` and ``activations`` ``(n, n_hookpoints, k)`` stand for the index."""
        self._tables: list[tuple[int, list[Tensor]]] = []
        sample = scorer.logits(ids, activations)
        for (hookpoint, table), (logits, weights) in zip(scorer.asked(), sample, strict=False):
            # what makes a logit the logarithm of a weighted share, but for a constant
            offsets = weights.clamp_min(0).log() - logits.logsumexp(0) + np.log(len(ids))
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
        return torch.stack(found).amax(0).cpu().numpy()


def _with_offsets(table: Tensor, offsets: Tensor) -> Tensor:
    """The table with one latent more, which every token has: it adds the offsets for nothing.

    Lanes are filled up to the width of a vector register; those are never the highest.
    """
    filling = -len(offsets) % _REGISTER
    last = pad(offsets, (0, filling), value=-np.inf)
    return torch.cat([pad(table, (0, filling)), last[None]])


def _allowed(
    snapshot: Snapshot, documents: Mapping[str, Sequence[int]] | None
) -> list[tuple[Segment, np.ndarray]]:
    """Segments and the numbers of their allowed blocks, where there are any."""
    found = []
    for record in snapshot.manifest.segments:
        segment = snapshot.segments[record.name]
        mask = np.full(len(segment.entries), documents is None)
        mask[list(record.deleted if documents is None else documents.get(record.name, ()))] ^= True
        numbers = np.flatnonzero(mask[segment.block_owner])
        if len(numbers):
            found.append((segment, numbers))
    return found


def _sample(allowed: Sequence[tuple[Segment, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of blocks at equal distances."""
    n = sum(len(numbers) for _, numbers in allowed)
    wanted = np.linspace(0, n - 1, min(_SAMPLE, n)).astype(np.int64)
    ids, activations = [], []
    first = 0
    for segment, numbers in allowed:
        inside = wanted[(first <= wanted) & (wanted < first + len(numbers))] - first
        first += len(numbers)
        for number in numbers[inside]:
            rows = slice(*segment.block_starts[number : number + 2])
            ids.append(segment.ids[rows])
            activations.append(segment.activations[rows])
    return np.concatenate(ids), np.concatenate(activations)


def _peaks(segment: Segment, numbers: np.ndarray, sweep: _Sweep) -> np.ndarray:
    """``(len(numbers),)`` float32: the highest peak in each of the given blocks."""
    lengths = np.diff(segment.block_starts)
    rows = None
    if len(numbers) < len(lengths):
        inside = np.zeros(len(lengths), dtype=bool)
        inside[numbers] = True
        rows = np.flatnonzero(np.repeat(inside, lengths))
    lengths = lengths[numbers]
    n = int(lengths.sum())
    found = []
    for first in range(0, n, _CHUNK):
        last = min(first + _CHUNK, n)
        part = slice(first, last) if rows is None else rows[first:last]
        found.append(sweep.peaks(segment.ids[part], segment.activations[part]))
    peaks: np.ndarray = np.maximum.reduceat(np.concatenate(found), np.cumsum(lengths) - lengths)
    return peaks
