"""How sure a mean over questions is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["bootstrap"]


def bootstrap(values: Sequence[float], *, seed: int = 0, samples: int = 2000) -> dict[str, float]:
    """Mean and 95% interval over resampled questions; paired if ``values`` are differences.

    The interval is that of percentiles (Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, chapter 13).

    Args:
        values: a value a question, at least one.
        seed: of the draws.
        samples: how often as many questions are drawn with replacement.

    Returns:
        ``mean`` of the values, ``low`` and ``high`` end of the interval.

    Example:
        >>> bootstrap([1.0, 1.0, 1.0])
        {'mean': 1.0, 'low': 1.0, 'high': 1.0}
    """
    array = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(array), (samples, len(array)))
    means = array[picks].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high)}
