"""From token scores to peaks: 1-D convolution and non-maximum suppression.

Source: S3-Attention (arXiv 2601.17702), density estimation: a convolution of width 8 (questions)
or 48 (summaries), then at most 40 centres.
"""

from __future__ import annotations

import numpy as np

from s3_retriever.settings import DensitySettings

__all__ = ["find_peaks", "smooth"]


def smooth(scores: np.ndarray, kernel: int) -> np.ndarray:
    """Mean of the ``kernel`` tokens around each token; outside the text counts as 0.

    Args:
        scores: ``(n,)``.
        kernel: width in tokens.

    Example:
        >>> smooth(np.array([0.0, 3.0, 0.0, 0.0]), 3).tolist()
        [1.0, 1.0, 1.0, 0.0]
    """
    left = (kernel - 1) // 2
    padded = np.pad(scores.astype(np.float64), (left + 1, kernel - 1 - left))
    total = np.cumsum(padded)
    return (total[kernel:] - total[:-kernel]) / kernel


def find_peaks(density: np.ndarray, settings: DensitySettings) -> list[int]:
    """Positions of the highest tokens, best first, none within ``suppression`` of a better one.

    Only positive densities are peaks.

    Example:
        >>> find_peaks(np.array([1.0, 5.0, 4.0, 0.0, 3.0]), DensitySettings(suppression=1))
        [1, 4]
    """
    peaks: list[int] = []
    free = np.ones(len(density), dtype=bool)
    for position in np.argsort(-density, kind="stable"):
        if density[position] <= 0 or len(peaks) == settings.centres:
            break
        if free[position]:
            peaks.append(int(position))
            low = max(0, position - settings.suppression)
            free[low : position + settings.suppression + 1] = False
    return peaks
