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
from s3_retriever.retrieval.passages import BEST_TOKENS, find_passages
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import SpanRef, TokenBatch

__all__ = ["Passages"]


@dataclass(frozen=True)
class Passages:
    """Sentences of paragraphs, by the mean of the paragraph's best scored tokens."""

    name: str = "passages"
    after: tuple[str, ...] = ("features", "bm25", "lead_tail", "pseudo_relevance_feedback")

    def active(self, settings: RetrieveSettings) -> bool:
        """Always."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """Sentences, best first; passages without a positive mean are left out."""
        found: list[ScoredSpan] = []
        longest = context.settings.spans.passage_tokens
        for passage in find_passages(context.store, context.ranked(), longest):
            tokens = np.sort(scores_in(context.batch, context.scores, passage.ref))[-BEST_TOKENS:]
            if len(tokens) and tokens.mean() > 0:
                found += passage.scored(float(tokens.mean()))
        return sorted(found, key=lambda span: -span.score)


def scores_in(batch: TokenBatch, scores: np.ndarray, ref: SpanRef) -> np.ndarray:
    """The scores of a batch's tokens that touch a span; tokens that are no candidates have none."""
    found = [scores[:0]]
    for tokens, rows in batch.parts():
        if tokens.doc_id == ref.doc_id:
            first = np.searchsorted(batch.ends[rows], ref.start, side="right")
            last = np.searchsorted(batch.starts[rows], ref.end)
            found.append(scores[rows][int(first) : int(last)])
    return np.concatenate(found)
