"""How much faster more workers of a Ray cluster read: the same corpus by each number of them."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from s3_retriever.encoding.chunks import rounds
from s3_retriever.encoding.ray_cluster import connected
from s3_retriever.encoding.ray_runner import ROUNDS_AHEAD, RayRunner
from s3_retriever.encoding.runners import ScanPlan
from s3_retriever.errors import InputError
from s3_retriever.types import Document

__all__ = ["bench_workers", "steady_rate"]

_DOCUMENT = 2_000
"""Characters of a document, about."""
_UNTIMED = 1 + ROUNDS_AHEAD


def bench_workers(
    plan: ScanPlan,
    text: str,
    workers: Sequence[int],
    *,
    address: str | None = None,
    gpus_per_worker: float | None = None,
    rounds_each: int = 4,
    repeats: int = 3,
) -> dict[str, Any]:
    """Read with each number of workers in turn, several times, and compare medians.

    Before the timed rounds each worker has its first, which waits for its model, and as many as
    the runner takes ahead: what one has read while the other was loading is not timed either.

    Args:
        plan: what is read with.
        text: any prose; repeated until it is long enough.
        workers: how many, to be compared with the first.
        address: of :class:`~s3_retriever.encoding.ray_runner.RayRunner`.
        gpus_per_worker: of the same.
        rounds_each: timed rounds of each worker.
        repeats: runs of each number.

    Returns:
        ``tokens_per_s`` (medians), ``runs`` and ``ratio`` to the first, by number of workers, and
        the settings.

    Raises:
        InputError: a number below 1.
        RunnerError: as of the runner.
    """
    if min(rounds_each, repeats, *workers) < 1:
        raise InputError("workers, rounds and repeats must be at least 1")
    runs: dict[int, list[float]] = {n: [] for n in workers}
    with connected(address):
        for _, n in itertools.product(range(repeats), workers):
            together = rounds(_documents(text), plan.settings.batch_tokens)
            taken = itertools.islice(together, n * (_UNTIMED + rounds_each))
            documents = list(itertools.chain.from_iterable(taken))
            runner = RayRunner(address, n, gpus_per_worker)
            runs[n].append(_rate(runner, plan, documents, n))
    medians = {n: statistics.median(found) for n, found in runs.items()}
    first = medians[workers[0]]
    return {
        "tokens_per_s": {str(n): round(rate, 1) for n, rate in medians.items()},
        "ratio": {str(n): round(rate / first, 3) for n, rate in medians.items()},
        "runs": {str(n): [round(rate, 1) for rate in found] for n, found in runs.items()},
        "profile": plan.profile,
        "batch_tokens": plan.settings.batch_tokens,
        "rounds_each": rounds_each,
    }


def _documents(text: str) -> Iterator[Document]:
    """Without end; no two are the same."""
    for n in itertools.count():
        at = n * _DOCUMENT % len(text)
        yield Document(str(n), f"{n}. {text[at : at + _DOCUMENT]}")


def _rate(runner: RayRunner, plan: ScanPlan, documents: Sequence[Document], n: int) -> float:
    told: list[tuple[float, int]] = []
    for _ in runner.run(
        plan, documents, on_progress=lambda tokens, _: told.append((time.perf_counter(), tokens))
    ):
        pass
    return steady_rate(told, n * _UNTIMED)


def steady_rate(told: Sequence[tuple[float, int]], first: int) -> float:
    """Tokens a second after the first so many rounds, from each round's end and tokens.

    Example:
        >>> steady_rate([(5.0, 100), (6.0, 100), (8.0, 150), (10.0, 50)], first=2)
        50.0
    """
    return sum(tokens for _, tokens in told[first:]) / (told[-1][0] - told[first - 1][0])
