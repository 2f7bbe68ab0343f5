"""How well scores of tokens find a question's gold passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from s3_retriever.labels.collections import Place
from s3_retriever.settings import ScoringSettings
from s3_retriever.types import Tokens

__all__ = ["ScoredQuestion", "chance_level", "passage_scores", "r_precision", "token_bounds"]


@dataclass(frozen=True)
class ScoredQuestion:
    """A question's context as some heads score it, and what is gold there."""

    tokens: np.ndarray
    """``(n_heads, n_tokens)`` scores."""
    bounds: Sequence[tuple[int, int]]
    """First and one past the last token of each passage."""
    gold: np.ndarray
    """``(n_passages,)`` bool."""
    best_tokens: int = ScoringSettings().best_tokens
    """How many of its best tokens make a passage's score."""

    @cached_property
    def passages(self) -> np.ndarray:
        """``(n_heads, n_passages)``: each head's scores of the passages."""
        return passage_scores(self.tokens, self.bounds, self.best_tokens)

    @cached_property
    def alone(self) -> np.ndarray:
        """``(n_heads,)``: R-precision of each head alone."""
        return r_precision(self.passages, self.gold)

    def together(self, weights: np.ndarray) -> float:
        """R-precision of the heads' weighted sum, taken token by token as in retrieval.

        Args:
            weights: ``(n_heads,)``.
        """
        scores = passage_scores(weights @ self.tokens, self.bounds, self.best_tokens)
        return float(r_precision(scores, self.gold))


def passage_scores(
    token_scores: np.ndarray,
    bounds: Sequence[tuple[int, int]],
    best_tokens: int = ScoringSettings().best_tokens,
) -> np.ndarray:
    """The mean of each passage's best tokens, or of all if it has fewer; 0 if it has none.

    Args:
        token_scores: ``(..., n_tokens)``.
        bounds: first and one past the last token of each passage.
        best_tokens: how many count.

    Returns:
        ``(..., n_passages)``

    Example:
        >>> passage_scores(np.array([1.0, 3.0, 5.0]), [(0, 2), (2, 3)])
        array([2., 5.])
    """
    found = np.zeros((*token_scores.shape[:-1], len(bounds)), dtype=token_scores.dtype)
    for number, (start, end) in enumerate(bounds):
        count = min(best_tokens, end - start)
        if count > 0:
            best = np.partition(token_scores[..., start:end], -count, axis=-1)[..., -count:]
            found[..., number] = best.mean(-1)
    return found


def r_precision(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Share of gold passages among the first R, where R is how many are gold.

    Of passages with the same score the earlier one stands first.

    Args:
        scores: ``(..., n_passages)``, higher is better.
        gold: ``(n_passages,)`` bool, at least one of them true.

    Returns:
        ``(...)``

    Example:
        >>> float(r_precision(np.array([0.9, 0.1, 0.5, 0.7]), np.array([True, False, True, False])))
        0.5
    """
    first = np.argsort(-scores, axis=-1, kind="stable")[..., : int(gold.sum())]
    found: np.ndarray = gold[first].mean(-1)
    return found


def chance_level(gold: np.ndarray) -> float:
    """R-precision to be expected of a random order: R of n passages are gold, so R / n."""
    return float(gold.mean())


def token_bounds(tokens: Tokens, passages: Sequence[Place]) -> list[tuple[int, int]]:
    """First and one past the last token that touches each passage of a tokenised text."""
    starts = np.searchsorted(tokens.ends, [p.start for p in passages], side="right")
    ends = np.searchsorted(tokens.starts, [p.end for p in passages], side="left")
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
