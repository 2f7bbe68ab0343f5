"""How surely questions that nothing answers are told from those that something does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.explain.abstain import choose_threshold, evidence
from s3_retriever.labels.collections import Collection
from s3_retriever_bench.methods.s3 import scanned

__all__ = ["area_under_roc", "asked_elsewhere", "measure_abstention"]

SAMPLES = 2000


def asked_elsewhere(collections: Sequence[Collection]) -> list[Collection]:
    """Each collection with the questions of the next: they are about something else.

    Example:
        >>> asked_elsewhere([Collection((), ()), Collection((), ())])[0].questions
        ()
    """
    return [
        Collection(here.documents, there.questions)
        for here, there in zip(collections, [*collections[1:], *collections[:1]], strict=True)
    ]


def measure_abstention(
    engine: Engine,
    answerable: Sequence[Collection],
    unanswerable: Sequence[Collection],
    *,
    mode: str | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Learn a threshold on one half of the questions and measure it on the other.

    Args:
        engine: its model reads the documents; its index is not touched.
        answerable: questions with evidence in their documents; at least two.
        unanswerable: questions without; at least two.
        mode: a preset's name.
        seed: of the halves and the bootstrap.
        on_progress: called with the questions done and their number.

    Returns:
        ``answerable`` and ``unanswerable`` (questions reported on), ``threshold`` (nats a token),
        ``found`` and ``refused`` (shares of them), ``auroc`` with ``low`` and ``high``.
    """
    both = [answerable, unanswerable]
    total = sum(len(c.questions) for side in both for c in side)
    read, done = scanned(engine), 0
    values: list[list[float]] = [[], []]
    for side, collections in enumerate(both):
        for collection in collections:
            asked = read.of(collection)
            for question in collection.questions:
                spans = asked.retrieve(question.text, mode=mode, k=3, abstain=False)
                values[side].append(evidence(engine.llm, question.text, spans))
                done += 1
                on_progress(done, total)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(side) for side in values]
    learned = choose_threshold(*(side[: len(side) // 2].tolist() for side in shuffled))
    yes, no = (side[len(side) // 2 :] for side in shuffled)
    drawn = [
        area_under_roc(rng.choice(yes, len(yes)), rng.choice(no, len(no))) for _ in range(SAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "answerable": len(yes),
        "unanswerable": len(no),
        "threshold": learned.threshold,
        "found": float((yes >= learned.threshold).mean()),
        "refused": float((no < learned.threshold).mean()),
        "auroc": {"mean": area_under_roc(yes, no), "low": float(low), "high": float(high)},
    }


def area_under_roc(yes: np.ndarray, no: np.ndarray) -> float:
    """How often a value of ``yes`` is above one of ``no``; equal ones count half.

    Example:
        >>> area_under_roc(np.array([3.0, 1.0]), np.array([1.0, 0.0]))
        0.875
    """
    above = (yes[:, None] > no).mean() + (yes[:, None] == no).mean() / 2
    return float(above)
