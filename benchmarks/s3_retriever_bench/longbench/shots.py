"""Examples for few-shot prompts: records that are not asked, with shortened contexts."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from s3_retriever.errors import InputError
from s3_retriever_bench.longbench.contexts import Shortener
from s3_retriever_bench.longbench.prompts import Shot
from s3_retriever_bench.longbench.records import Record

__all__ = ["SHOT_TOKENS", "draw_shots"]

SHOT_TOKENS = 256
"""Of an example's context: one segment, BM25's best for its question."""


def draw_shots(
    shortener: Shortener,
    records: Sequence[Record],
    asked: Collection[Record],
    n: int,
    *,
    seed: int,
) -> dict[str, list[Shot]]:
    """The same ``n`` examples for all questions of a task, by task.

    Args:
        shortener: cuts the contexts, which no window would hold otherwise.
        records: where examples come from.
        asked: those of them that are no example.
        n: examples a task.
        seed: of the draw.

    Raises:
        InputError: of a task too few records are not asked.
        MethodUnavailable: BM25 is not installed.
    """
    free: dict[str, list[Record]] = {record.task: [] for record in asked}
    for record in records:
        if record not in asked:
            free[record.task].append(record)
    found: dict[str, list[Shot]] = {}
    for task, pool in free.items():
        if len(pool) < n:
            raise InputError(
                f"{task}: {n} shots, but {len(pool)} records are not asked; lower --limit"
            )
        found[task] = [
            Shot(shortener.shorten(r, "bm25", SHOT_TOKENS).text, r.input, r.answers[0])
            for r in random.Random(seed).sample(pool, n)  # noqa: S311  (no secret)
        ]
    return found
