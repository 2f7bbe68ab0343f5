"""From answers to the figures of the table: means, intervals, retention, costs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever_bench.longbench.answers import STAGES, Answer, Key
from s3_retriever_bench.longbench.tasks import TASKS

__all__ = ["SAMPLES", "figures"]

SAMPLES = 2000
"""Of the bootstrap."""

_Array = npt.NDArray[np.float64]


def figures(
    answers: Mapping[Key, Answer],
    asked: Collection[tuple[str, str]],
    methods: Sequence[str],
    *,
    skipped: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    """The figures of every method, over the records that all of them have answered.

    Scores are times 100, as published. An average is the mean of the tasks' means, retention that
    average over the one of ``full``. Intervals are 95% by bootstrap over each task's records; a
    resample draws the same records for every method, so that those of retention and of the lead of
    ``s3`` are paired.

    Args:
        answers: of any records and methods.
        asked: task and id of the records that count.
        methods: in the order of the rows.
        skipped: why a method did not run.
        seed: of the bootstrap.

    Returns:
        ``asked`` and ``counted`` (records by task), ``tasks`` (those with any), and ``methods``: by
        name ``tasks`` (mean, low and high by task), ``average``, ``retention`` (in percent;
        ``None`` without ``full`` or where that scores 0), ``lead`` (the average of ``s3`` less this
        one; ``None`` without ``s3`` and for itself), means of ``seconds`` (by stage, and
        ``total``), ``context_tokens`` and ``new_tokens``, the largest ``peak_bytes``, and
        ``skipped``, the reason; what a skipped method has no figure for is ``None``.
    """
    ran = [name for name in methods if name not in skipped]
    n_asked = Counter(task for task, _ in asked)
    counted: dict[str, list[str]] = {}
    for task in TASKS:
        ids = [i for t, i in asked if t == task and all(Key(m, t, i) in answers for m in ran)]
        if ids and ran:
            counted[task] = ids
    rng = np.random.default_rng(seed)
    picks = {t: rng.integers(0, len(ids), (SAMPLES, len(ids))) for t, ids in counted.items()}
    of = {
        name: {t: [answers[Key(name, t, i)] for i in ids] for t, ids in counted.items()}
        for name in ran
    }
    drawn = {name: _resampled(of[name], picks) for name in ran} if counted else {}
    return {
        "asked": {task: n_asked[task] for task in TASKS if n_asked[task]},
        "counted": {task: len(ids) for task, ids in counted.items()},
        "tasks": list(counted),
        "methods": {
            name: _figures(of[name], drawn[name], drawn.get("full"), drawn.get("s3"))
            if name in drawn
            else _nothing(skipped.get(name))
            for name in methods
        },
    }


class _Resampled:
    """A method's scores, times 100: as they are (row 0) and in every resample."""

    def __init__(self, tasks: Mapping[str, _Array]) -> None:
        self.tasks = tasks
        """``(1 + SAMPLES,)`` by task."""
        self.average: _Array = np.mean(list(tasks.values()), axis=0)


def _resampled(
    answers: Mapping[str, Sequence[Answer]], picks: Mapping[str, npt.NDArray[np.int64]]
) -> _Resampled:
    tasks = {}
    for task, given in answers.items():
        scores = np.array([100 * answer.score for answer in given])
        tasks[task] = np.append(scores.mean(), scores[picks[task]].mean(axis=1))
    return _Resampled(tasks)


def _figures(
    answers: Mapping[str, Sequence[Answer]],
    drawn: _Resampled,
    full: _Resampled | None,
    ours: _Resampled | None,
) -> dict[str, Any]:
    every = [answer for given in answers.values() for answer in given]
    seconds = {s: statistics.mean(answer.seconds[s] for answer in every) for s in STAGES}
    return {
        "tasks": {task: _interval(values) for task, values in drawn.tasks.items()},
        "average": _interval(drawn.average),
        "retention": _retention(drawn, full) if full else None,
        "lead": _interval(ours.average - drawn.average) if ours and ours is not drawn else None,
        "seconds": seconds | {"total": sum(seconds.values())},
        "context_tokens": statistics.mean(answer.n_context_tokens for answer in every),
        "new_tokens": statistics.mean(answer.n_new_tokens for answer in every),
        "peak_bytes": max(answer.peak_bytes for answer in every),
        "skipped": None,
    }


def _nothing(skipped: str | None) -> dict[str, Any]:
    names = ("tasks", "average", "retention", "lead", "seconds", "context_tokens", "new_tokens")
    return dict.fromkeys([*names, "peak_bytes"]) | {"skipped": skipped}


def _interval(values: _Array) -> dict[str, float]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"mean": float(values[0]), "low": float(low), "high": float(high)}


def _retention(drawn: _Resampled, full: _Resampled) -> dict[str, float] | None:
    """Percent of ``full``; resamples in which it scores 0 tell nothing."""
    if not full.average[0]:
        return None
    some = full.average > 0
    return _interval(100 * drawn.average[some] / full.average[some])
