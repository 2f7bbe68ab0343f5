"""What scores tokens, so that parts of an index can be scored apart and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from s3_retriever.search.base import FeatureWeights
from s3_retriever.types import TokenBatch

if TYPE_CHECKING:  # a search for words alone has no torch
    from torch import Tensor

__all__ = ["PartialScores", "TokenScorer", "Totals", "merge_totals", "score_tokens", "strongest"]


@dataclass(frozen=True)
class Totals:
    """What a softmax over all tokens needs to know of the tokens of one part.

    It is the logsumexp of each lane (a query token of a head), in two numbers: their sum in
    float32 would cost five digits of a share.
    """

    n_tokens: int
    highest: Tensor
    """``(n_lanes,)`` float32: the highest logit."""
    sums: Tensor
    """``(n_lanes,)`` float32: of the exponentials of the logits less the highest."""

    @property
    def logsumexp(self) -> Tensor:
        """``(n_lanes,)`` float32."""
        return self.highest + self.sums.log()


@dataclass(frozen=True)
class PartialScores:
    """Some tokens' logits, before they share attention with all others."""

    n_tokens: int
    logits: tuple[Tensor, ...]
    """Parts of ``(n_tokens, n_lanes)`` float32, side by side."""

    @property
    def totals(self) -> Totals:
        """What other parts need to know of this one."""
        import torch

        if not self.n_tokens:
            n_lanes = sum(part.shape[1] for part in self.logits)
            return Totals(0, torch.full((n_lanes,), -torch.inf), torch.zeros(n_lanes))
        highest = [part.amax(0) for part in self.logits]
        sums = [(p - h).exp().sum(0) for p, h in zip(self.logits, highest, strict=True)]
        return Totals(self.n_tokens, torch.cat(highest), torch.cat(sums))


class TokenScorer(Protocol):
    """Scores tokens by their codes for one question.

    ``finish(partial(batch), partial(batch).totals)`` scores a batch that is all there is. Where
    there are several (shards of an index, say), each gets the merged totals of all of them, and
    every token the score that it would have had in one batch. A batch may be empty.
    ``s3_retriever.testing.scorers`` holds the suite that every one has to pass.
    """

    def features(self, limit: int) -> FeatureWeights:
        """The question's ``limit`` strongest features, for a candidate search."""

    def partial(self, batch: TokenBatch) -> PartialScores:
        """What can be said of tokens without knowing the others."""

    def finish(self, part: PartialScores, totals: Totals) -> np.ndarray:
        """``(n_tokens,)`` float32 scores, higher is better.

        Args:
            part: of :meth:`partial`.
            totals: of all parts, this one included (:func:`merge_totals`).
        """


def merge_totals(parts: Sequence[Totals]) -> Totals:
    """The totals of several parts together; one without tokens adds nothing.

    Args:
        parts: at least one.

    Example:
        >>> import torch
        >>> part = Totals(2, torch.zeros(1), torch.ones(1))
        >>> merged = merge_totals([part, part])
        >>> merged.n_tokens, round(float(merged.logsumexp.exp()), 3)
        (4, 2.0)
    """
    import torch

    parts = [part for part in parts if part.n_tokens] or parts[:1]
    highest = torch.stack([part.highest for part in parts])
    sums = torch.stack([part.sums for part in parts])
    top = highest.amax(0)
    total = (sums * (highest - top).exp()).sum(0)
    return Totals(sum(part.n_tokens for part in parts), top, total)


def score_tokens(scorer: TokenScorer, batches: Sequence[TokenBatch]) -> np.ndarray:
    """Scores of the tokens of all batches, one after the other, which share one attention.

    Args:
        scorer: of the question.
        batches: may be empty.

    Returns:
        ``(n_tokens of all batches,)`` float32.
    """
    parts = [scorer.partial(batch) for batch in batches if len(batch)]
    if not parts:
        return np.zeros(0, dtype=np.float32)
    totals = merge_totals([part.totals for part in parts])
    return np.concatenate([scorer.finish(part, totals) for part in parts])


def strongest(best: Sequence[tuple[int, Tensor]], n_hookpoints: int, limit: int) -> FeatureWeights:
    """The ``limit`` largest positive weights over all hookpoints.

    Args:
        best: numbers of hookpoints and weights ``(n_latents,)`` of their latents.
        n_hookpoints: of the profile.
        limit: most weights.
    """
    import torch

    found: list[dict[int, float]] = [{} for _ in range(n_hookpoints)]
    if best:
        stacked = torch.stack([weights for _, weights in best])
        values, flat = stacked.flatten().topk(min(limit, stacked.numel()))
        for value, position in zip(values.tolist(), flat.tolist(), strict=True):
            if value > 0:
                row, latent = divmod(position, stacked.shape[1])
                index = best[row][0]
                found[index][latent] = max(value, found[index].get(latent, 0.0))
    return found
