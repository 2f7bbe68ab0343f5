"""From several scores of the same units to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["reciprocal_ranks", "z_scores"]


def z_scores(terms: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of the scores, each brought to mean 0 and standard deviation 1.

    Args:
        terms: scores of all units, ``(n_units,)`` each; equal ones add nothing.

    Returns:
        ``(n_units,)`` float64.

    Example:
        >>> z_scores([np.array([1.0, 3.0]), np.array([5.0, 5.0])]).tolist()
        [-1.0, 1.0]
    """
    total = np.zeros(len(terms[0]))
    for term in terms:
        deviation = term.std() if len(term) else 0.0
        if deviation > 0:
            total += (term - term.mean()) / deviation
    return total


def reciprocal_ranks(terms: Sequence[np.ndarray], k: int = 60) -> np.ndarray:
    """The sum of ``1 / (k + rank)`` over the orders that the scores give.

    Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods (SIGIR 2009), with their ``k``. Equal scores share a rank, and
    a score of exactly 0 (BM25 without a common word) is none.

    Args:
        terms: scores of all units, ``(n_units,)`` each.
        k: how little the very first ranks stand out.

    Returns:
        ``(n_units,)`` float64.

    Example:
        >>> reciprocal_ranks([np.array([0.5, 2.0, 0.0]), np.array([3.0, 3.0, 1.0])], k=1).round(2)
        array([0.83, 1.  , 0.33])
    """
    total = np.zeros(len(terms[0]))
    for term in terms:
        ranks = np.unique(-term, return_inverse=True)[1] + 1
        total += np.where(term != 0, 1 / (k + ranks), 0.0)
    return total
