"""The passages leg: paragraphs by what the best of their tokens make them worth.

A peak shows where to look, its paragraph says whether it is worth it: many tokens of a paragraph
that is about the question are attended to a little. The mean of its best tokens is also what heads
are calibrated by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.passages import find_passages
from s3_retriever.retrieval.spans import ScoredSpan, rows_touching
from s3_retriever.settings import RetrieveSettings

__all__ = ["Passages"]


@dataclass(frozen=True)
class Passages:
    """Sentences of paragraphs, by the mean of the paragraph's best scored tokens."""

    name: str = "passages"
    after: tuple[str, ...] = ("features", "bm25", "lead_tail", "pseudo_relevance_feedback")

    def active(self, settings: RetrieveSettings) -> bool:
        """Unless features weigh nothing: then no token has a score."""
        return settings.fusion.weights.get("features", 1.0) > 0

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """Sentences, best first; passages without a positive mean are left out."""
        if context.scorer is None:
            return []
        found: list[ScoredSpan] = []
        longest = context.settings.spans.passage_tokens
        for passage in find_passages(context.store, context.ranked(), longest, context.memory):
            scores = context.scores[rows_touching(context.batch, passage.ref)]
            best = np.sort(scores)[-context.settings.scoring.best_tokens :]
            if len(best) and best.mean() > 0:
                found += passage.scored(float(best.mean()))
        return sorted(found, key=lambda span: -span.score)
