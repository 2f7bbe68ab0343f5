"""Fusion of rankings by reciprocal ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

__all__ = ["reciprocal_rank_fusion"]

T = TypeVar("T", bound=Hashable)


def reciprocal_rank_fusion(rankings: Sequence[Sequence[T]], k: int = 60) -> list[T]:
    """One order of all items by the sum of ``1 / (k + rank)`` over the rankings they are in.

    Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods (SIGIR 2009), with their ``k``.

    Args:
        rankings: each best first; of equal sums the item met first comes first.
        k: how little the very first ranks stand out.

    Example:
        >>> reciprocal_rank_fusion([["a", "b", "c"], ["c", "b"]])
        ['c', 'b', 'a']
    """
    sums: defaultdict[T, float] = defaultdict(float)
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            sums[item] += 1 / (k + rank)
    return sorted(sums, key=lambda item: -sums[item])
