"""A simulation of questions that go to all shards of an index: the slowest answer decides.

Documents are hashed to shards, so shards differ in size by chance and by the documents' lengths.
Each shard has two replicas, and one replica of one shard may be slow. A hedged question asks the
other replica of a shard as well when the first has not answered after the 95th percentile. There
are no queues: the figures are those of servers with little to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from s3_retriever.errors import InputError

__all__ = ["FanOut", "Latencies", "hedged", "shard_sizes", "simulate", "spread_of"]

_Z95 = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class FanOut:
    """What is simulated."""

    p50_ms: float
    """Median time of a search in one shard of the mean size."""
    p95_ms: float
    """95th percentile of that time; a log-normal distribution is laid through both."""
    growth: float = 0.32
    """The time of a shard grows with its size to this power."""
    documents_per_shard: int = 10_000
    length_spread: float = 1.0
    """Standard deviation of the logarithm of a document's length."""
    slow: float = 1.0
    """So many times as long takes one replica of one shard."""
    round_trips: int = 2
    """Attention scores need two: everybody's sums are known after the first."""
    round_trip_ms: float = 0.5


@dataclass(frozen=True)
class Latencies:
    """Of all questions, in milliseconds."""

    p50: float
    p95: float
    p99: float
    extra_load: float
    """Requests beyond one a shard, as a share of these."""


def spread_of(p50: float, p95: float) -> float:
    """Standard deviation of the logarithm of a log-normal time.

    Raises:
        InputError: they are not positive and ascending.

    Example:
        >>> spread_of(10.0, 10.0)
        0.0
    """
    if not 0 < p50 <= p95 < math.inf:
        raise InputError(f"p50 and p95 must be positive and ascending, not {p50} and {p95}")
    return math.log(p95 / p50) / _Z95


def shard_sizes(
    chance: np.random.Generator, shards: int, documents_per_shard: int, length_spread: float
) -> np.ndarray:
    """Sizes ``(shards,)`` of shards that documents are hashed to; their mean is 1."""
    n = shards * documents_per_shard
    lengths = chance.lognormal(sigma=length_spread, size=n)
    sizes = np.bincount(chance.integers(shards, size=n), weights=lengths, minlength=shards)
    found: np.ndarray = sizes / sizes.mean()
    return found


def hedged(first: np.ndarray, second: np.ndarray, after: float) -> tuple[np.ndarray, float]:
    """Times when a second request is sent ``after`` so long without an answer.

    Args:
        first: times of the first requests, any shape.
        second: times of the second ones, had they been sent, same shape.
        after: same unit.

    Returns:
        The times, and the share of requests that needed a second one.

    Example:
        >>> hedged(np.array([10.0, 50.0, 22.0]), np.array([1.0, 5.0, 9.0]), after=20.0)
        (array([10., 25., 22.]), 0.666...)
    """
    late = first > after
    return np.where(late, np.minimum(first, after + second), first), float(late.mean())


def simulate(
    setup: FanOut, shards: int, *, hedge: bool, questions: int = 10_000, seed: int = 0
) -> Latencies:
    """Latencies of questions that ask all shards.

    Args:
        setup: what is simulated.
        shards: how many.
        hedge: ask a second replica after the 95th percentile of a shard of the mean size.
        questions: how many.
        seed: of everything that is drawn.

    Raises:
        InputError: a number below 1, or times that are no times.

    Example:
        >>> simulate(FanOut(p50_ms=10, p95_ms=10, growth=0), 4, hedge=False).p99
        11.0
    """
    if min(shards, questions, setup.documents_per_shard) < 1:
        raise InputError("shards, questions and documents must be at least 1")
    chance = np.random.default_rng(seed)
    spread = spread_of(setup.p50_ms, setup.p95_ms)
    sizes = shard_sizes(chance, shards, setup.documents_per_shard, setup.length_spread)
    medians = setup.p50_ms * sizes**setup.growth
    slowest, extra = np.empty(questions), 0.0
    step = max(1, 2_000_000 // shards)  # questions at once, so that memory stays small
    for start in range(0, questions, step):
        shape = (min(step, questions - start), shards)
        replica = chance.integers(2, size=shape[0])  # that the first shard is asked at
        first, second = (medians * chance.lognormal(sigma=spread, size=shape) for _ in range(2))
        first[replica == 0, 0] *= setup.slow
        second[replica == 1, 0] *= setup.slow
        times, share = hedged(first, second, setup.p95_ms) if hedge else (first, 0.0)
        slowest[start : start + step] = times.max(axis=1)
        extra += share * shape[0] / questions
    slowest += setup.round_trips * setup.round_trip_ms
    p50, p95, p99 = (float(np.percentile(slowest, q)) for q in (50, 95, 99))
    return Latencies(p50, p95, p99, extra)
