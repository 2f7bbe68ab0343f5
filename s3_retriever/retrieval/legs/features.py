"""The features leg: peaks of the scores that tokens get from their sparse codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.spans import ScoredSpan, spans_from_scores
from s3_retriever.settings import RetrieveSettings

__all__ = ["Features"]


@dataclass(frozen=True)
class Features:
    """S3-Pure's way (arXiv 2601.17702): scores, a convolution, peaks, spans."""

    name: str = "features"
    after: tuple[str, ...] = ()

    def active(self, settings: RetrieveSettings) -> bool:
        """Always."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """The peaks' sentences, best first."""
        settings = context.settings
        return spans_from_scores(
            context.store, context.batch, context.scores, settings.density, settings.spans
        )
