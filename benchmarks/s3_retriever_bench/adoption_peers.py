"""Peers for the report card of ``s3-retriever adopt``, which finds them by an entry point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection
from s3_retriever_bench.retrieval import evaluate_retrieval

__all__ = ["PEERS", "measure_peers"]

PEERS = ("bm25", "dense", "dense+bm25")
"""Each is the best of its variants at every budget."""


def measure_peers(
    engine: Engine, collections: Sequence[Collection], budgets: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Evidence recall of BM25, dense retrieval and both together.

    Args:
        engine: its model counts the tokens.
        collections: documents and questions.
        budgets: in tokens.

    Returns:
        By name the means by budget (``evidence_recall``) and the 95% interval at the second budget
        (``interval``); a peer that cannot run is missing.
    """
    found = evaluate_retrieval(engine, collections, methods=PEERS, budgets=budgets)
    return {
        name: {
            "evidence_recall": {
                str(b): round(measured["evidence_recall"][str(b)]["mean"], 3) for b in budgets
            },
            "interval": [
                round(measured["evidence_recall"][str(budgets[1])][end], 3)
                for end in ("low", "high")
            ],
        }
        for name, measured in found["methods"].items()
        if measured.get("evidence_recall")
    }
