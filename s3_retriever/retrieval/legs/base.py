"""What a leg is: one way of proposing spans for a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import RetrieveSettings

__all__ = ["Leg"]


class Leg(Protocol):
    """Proposes spans. One file each, and a line in :mod:`~s3_retriever.retrieval.legs.registry`.

    A leg is one object for all questions and threads: it keeps nothing of any.
    ``s3_retriever.testing.legs`` holds the suite that every one has to pass.
    """

    @property
    def name(self) -> str:
        """Under which weights, presets and the scores of spans know it."""

    @property
    def after(self) -> tuple[str, ...]:
        """Legs that have to be asked before it, where a preset has them."""

    def active(self, settings: RetrieveSettings) -> bool:
        """Whether it can find anything under some settings."""

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """Spans with positive scores, best first; none in an empty index.

        Scores are compared with each other only: fusion takes them relative to the best.
        """
