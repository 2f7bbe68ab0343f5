"""The ways of this library: as published, and as shipped."""

from __future__ import annotations

from s3_retriever.config import (
    DensitySettings,
    FusionSettings,
    Mode,
    RetrieveSettings,
    Scoring,
    SpanSettings,
)
from s3_retriever.engine import Engine
from s3_retriever.evaluate.datasets import Example, Range

__all__ = ["S3", "S3Attention", "S3Hybrid", "S3Pure", "TantivyBM25"]

PUBLISHED = RetrieveSettings(
    density=DensitySettings(kernel=8, centres=40),
    spans=SpanSettings(threshold=0.5),
    fusion=FusionSettings(paragraph_weight=0, lead_tokens=16, tail_tokens=16),
)
"""Width 8, 40 centres, adaptive spans, plain union with lead and tail (their sizes are not
published)."""


class S3:
    """As shipped: attention scoring and words, fused."""

    mode: Mode = "hybrid"
    scoring: Scoring | None = None
    settings = RetrieveSettings()

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model; its index is not touched."""
        self._engine = engine

    def retrieve(self, example: Example, max_tokens: int) -> list[Range]:
        """See :class:`~s3_retriever.evaluate.methods.Method`."""
        found = self._engine.compress(
            example.question,
            example.context,
            max_tokens,
            mode=self.mode,
            scoring=self.scoring,
            settings=self.settings,
        )
        return [(span.start, span.end) for span in found.spans]


class S3Attention(S3):
    """The model's features alone, scored by its heads."""

    mode: Mode = "features"
    scoring: Scoring | None = "attention"


class S3Pure(S3):
    """S3-Pure: Eq. 7 alone, as published."""

    mode: Mode = "features"
    scoring: Scoring | None = "coactivation"
    settings = PUBLISHED


class S3Hybrid(S3):
    """S3-Hybrid: Eq. 7 in union with BM25 and lead/tail, as published."""

    scoring: Scoring | None = "coactivation"
    settings = PUBLISHED


class TantivyBM25(S3):
    """The words leg alone."""

    mode: Mode = "bm25"
