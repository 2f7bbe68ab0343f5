"""Maximal marginal relevance (Carbonell and Goldstein 1998): relevant and not all the same."""

from __future__ import annotations

import numpy as np

__all__ = ["diverse"]


def diverse(relevance: np.ndarray, alike: np.ndarray, k: int, lambda_mult: float) -> list[int]:
    """Choose ``k`` items one by one: each is relevant and unlike those chosen before.

    Args:
        relevance: ``(n,)`` in [0, 1].
        alike: ``(n, n)`` similarities in [0, 1].
        k: how many; fewer if there are no more.
        lambda_mult: 1 is relevance alone, 0 is diversity alone.

    Returns:
        Numbers of the items, in the order chosen.

    Example:
        >>> twins = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> diverse(np.array([0.9, 0.8, 0.5]), twins, 2, 0.5)
        [0, 2]
    """
    chosen: list[int] = []
    left = list(range(len(relevance)))
    while left and len(chosen) < k:
        closest = alike[left][:, chosen].max(axis=1) if chosen else np.zeros(len(left))
        best = int(np.argmax(lambda_mult * relevance[left] - (1 - lambda_mult) * closest))
        if not chosen:
            best = int(np.argmax(relevance[left]))
        chosen.append(left.pop(best))
    return chosen
