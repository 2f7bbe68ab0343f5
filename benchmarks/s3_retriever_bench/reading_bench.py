"""Reading in context with and without what the model kept of the paragraphs.

Each question is asked twice: with nothing kept, and after the question before it was, whose
paragraphs the model then knows. The whole retrieval is timed, not the reading alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever_bench.scan_bench import device_name

__all__ = ["bench_reading"]


def bench_reading(
    llm: TransformersModel,
    profile: Profile,
    text: str,
    questions: Sequence[str],
    *,
    tokens: int = 1800,
) -> dict[str, Any]:
    """Time the default mode on few paragraphs, so that every question reads the same.

    Args:
        llm: the resident model; what it keeps is forgotten.
        profile: for the index, which is in memory.
        text: prose; its first paragraphs are indexed.
        questions: at least two.
        tokens: most tokens that are indexed; at least the first paragraph.

    Returns:
        ``first_s`` and ``again_s`` (medians: nothing kept; paragraphs known), ``ratio`` (median of
        the questions' own, second over first), ``read_anew`` (keys and values of paragraphs that
        the question before had not read, as a share of its own), ``runs``, ``tokens``,
        ``device``, ``dtype``.

    Raises:
        InputError: fewer than two questions.
    """
    if len(questions) < 2:
        raise InputError("at least two questions are needed")
    document = Document("text", _beginning(llm, text, tokens))
    engine = Engine(llm, profile)
    engine.add([document])
    kept = llm.likelihood_cache
    engine.retrieve(questions[0])  # warms up
    first, again, anew = [], [], []
    for before, question in zip([*questions[-1:], *questions], questions, strict=False):
        kept.clear()
        first.append(_timed(engine, question))
        own = kept.n_bytes
        kept.clear()
        engine.retrieve(before)
        known = kept.n_bytes
        again.append(_timed(engine, question))
        anew.append((kept.n_bytes - known) / own)
    ratios = [b / a for a, b in zip(first, again, strict=True)]
    return {
        "first_s": round(statistics.median(first), 3),
        "again_s": round(statistics.median(again), 3),
        "ratio": round(statistics.median(ratios), 3),
        "read_anew": round(statistics.mean(anew), 3),
        "runs": {
            "first": [round(v, 3) for v in first],
            "again": [round(v, 3) for v in again],
        },
        "tokens": llm.count_tokens(document.text),
        "device": device_name(llm.device),
        "dtype": str(llm.model.dtype).removeprefix("torch."),
    }


def _beginning(llm: TransformersModel, text: str, tokens: int) -> str:
    first, *others = text.split("\n\n")
    for paragraph in others:
        longer = f"{first}\n\n{paragraph}"
        if llm.count_tokens(longer) > tokens:
            break
        first = longer
    return first


def _timed(engine: Engine, question: str) -> float:
    started = time.perf_counter()
    engine.retrieve(question)  # its scores are numbers of Python: the device is done
    return time.perf_counter() - started
