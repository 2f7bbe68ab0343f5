"""The report card: what a profile is worth on questions that nothing was learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import RetrieveSettings
from s3_retriever.training.adoption.fitting import scan_questions

__all__ = ["PATIENCE", "bytes_a_token", "peers", "recommended", "report_card"]

BUDGETS = (128, 256, 512)
MODES = ("bm25", "features", "fast", "hybrid")
PEERS = "s3_retriever.peers"
"""Entry points of what measures other ways of retrieving."""
PATIENCE = 1.0
"""Seconds that a question may take for the mode that is recommended."""


def report_card(
    llm: LanguageModel,
    profile: Profile,
    collections: Sequence[Collection],
    settings: RetrieveSettings,
    *,
    on_question: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Measure every mode, and the peers where they are installed.

    Args:
        llm: the model.
        profile: made for it.
        collections: of one document and one question each, that nothing was learned from.
        settings: those that the profile will have.
        on_question: called with the number of questions done.

    Returns:
        As JSON: ``n``, ``budgets``, ``modes`` by name with ``evidence_recall`` by budget, the
        ``interval`` at 256 tokens and ``milliseconds`` (median), ``hybrid_less_fast`` there,
        ``peers`` alike without times,
        ``tokens_per_second`` of the scan, ``bytes_a_token``, and the device.
    """
    start = time.perf_counter()
    scanned = scan_questions(llm, profile, collections)
    seconds = time.perf_counter() - start
    tokens = sum(llm.count_tokens(d.text) for c in collections for d in c.documents)
    recalls: dict[str, list[list[float]]] = {mode: [] for mode in MODES}
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    for done, question in enumerate(scanned, start=1):
        for mode in MODES:
            start = time.perf_counter()
            recalls[mode].append(question.evidence(mode, settings, BUDGETS))
            taken[mode].append(time.perf_counter() - start)
        on_question(done)
    return {
        "n": len(collections),
        "budgets": list(BUDGETS),
        "modes": {
            mode: _figures(np.array(found)) | {"milliseconds": _milliseconds(taken[mode])}
            for mode, found in recalls.items()
        },
        "hybrid_less_fast": bootstrap(
            (np.array(recalls["hybrid"])[:, 1] - np.array(recalls["fast"])[:, 1]).tolist()
        ),
        "peers": peers(llm, profile, collections),
        "tokens_per_second": round(tokens / seconds),
        "bytes_a_token": bytes_a_token(profile.card),
        "device": str(llm.describe()["device"]),
    }


def peers(
    llm: LanguageModel, profile: Profile, collections: Sequence[Collection]
) -> dict[str, dict[str, Any]]:
    """What the distributions measure that stand by for it, as ``s3-retriever-bench`` does.

    They name a function in the entry point group :data:`PEERS`, which takes an engine, collections
    and budgets and returns figures by name.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in entry_points(group=PEERS):
        found |= entry.load()(Engine(llm, profile), collections, BUDGETS)
    return found


def recommended(report: dict[str, Any]) -> tuple[str, str]:
    """The mode for this device, and why, in a sentence.

    ``hybrid`` where it answers within :data:`PATIENCE`, unless it finds less than ``fast`` does by
    more than noise.
    """
    fast, hybrid = (report["modes"][mode]["milliseconds"] for mode in ("fast", "hybrid"))
    gain = "{mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**report["hybrid_less_fast"])
    cost = f"{hybrid:.0f} ms a question against {fast:.0f} ms in mode fast"
    if report["hybrid_less_fast"]["high"] < 0:
        return "fast", f"the reading of mode hybrid finds less, {gain}: {cost}"
    if hybrid > 1000 * PATIENCE:
        return "fast", f"mode hybrid finds {gain} and takes {cost}"
    return "hybrid", f"its reading finds {gain}: {cost}"


def bytes_a_token(card: ProfileCard) -> int:
    """Bytes of codes that an index holds for a token: an id and a step for each active latent."""
    return len(card.hookpoints) * card.k * ((2 if card.n_latents <= 1 << 16 else 4) + 1)


def _figures(recalls: np.ndarray) -> dict[str, Any]:
    middle = bootstrap(recalls[:, 1].tolist())
    return {
        "evidence_recall": {
            str(budget): round(float(mean), 3)
            for budget, mean in zip(BUDGETS, recalls.mean(0), strict=True)
        },
        "interval": [round(middle["low"], 3), round(middle["high"], 3)],
    }


def _milliseconds(seconds: Sequence[float]) -> float:
    return round(1000 * float(np.median(seconds)), 1)
