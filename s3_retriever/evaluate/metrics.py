"""What a retrieved set of character ranges is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3_retriever.evaluate.datasets import Example, Range

__all__ = ["all_evidence", "answer_recall", "bootstrap", "evidence_recall"]

COVERED = 0.9
"""Share of a gold sentence's characters that must be there for it to count."""


def evidence_recall(example: Example, ranges: Sequence[Range]) -> float:
    """Share of the gold sentences that ``ranges`` cover."""
    return float(np.mean([_covered(gold, ranges) for gold in example.evidence]))


def all_evidence(example: Example, ranges: Sequence[Range]) -> float:
    """1 if every gold sentence is covered, else 0."""
    return float(all(_covered(gold, ranges) for gold in example.evidence))


def answer_recall(example: Example, ranges: Sequence[Range]) -> float:
    """1 if one of the gold answers is in the retrieved text, whatever its case, else 0."""
    text = "\n".join(example.context[start:end] for start, end in ranges).lower()
    return float(any(answer.lower() in text for answer in example.answers if answer))


def bootstrap(values: Sequence[float], *, seed: int = 0, samples: int = 2000) -> dict[str, float]:
    """Mean and 95% interval over resampled questions; paired if ``values`` are differences.

    Example:
        >>> bootstrap([1.0, 1.0, 1.0])
        {'mean': 1.0, 'low': 1.0, 'high': 1.0}
    """
    array = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(array), (samples, len(array)))
    means = array[picks].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high)}


def _covered(gold: Range, ranges: Sequence[Range]) -> bool:
    start, end = gold
    mask = np.zeros(end - start, dtype=bool)
    for first, last in ranges:
        mask[max(0, first - start) : max(0, last - start)] = True
    return bool(mask.mean() >= COVERED)
