"""The ways of this library: as published, and as shipped."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.settings import (
    DensitySettings,
    FusionSettings,
    Mode,
    RetrieveSettings,
    Scoring,
    SpanSettings,
)
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.sharing import Shared

__all__ = [
    "S3",
    "S3Attention",
    "S3Fast",
    "S3Hybrid",
    "S3Pure",
    "S3WithoutFeatures",
    "TantivyBM25",
    "scanned",
]

PUBLISHED = RetrieveSettings(
    density=DensitySettings(kernel=8, centres=40),
    spans=SpanSettings(threshold=1.0),
    fusion=FusionSettings(
        weights={
            "features": 0.1,
            "bm25": 1.0,
            "lead_tail": 1.0,
            "pseudo_relevance_feedback": 0,
            "headings": 0,
            "passages": 0,
            "query_likelihood": 0,
        },
        paragraph_weight=0,
        lead_tokens=16,
        tail_tokens=16,
    ),
)
"""Width 8, 40 centres, spans cut at sentence bounds, union with lead and tail of the best document.

What the paper leaves open was chosen on 40 HotpotQA calibration questions: the size of lead and
tail, that a peak's span is its sentence, and that the union is filled with BM25's spans first.
Evidence recall at 256 tokens was 0.23 with spans grown to half of the peak and both legs weighed
alike, 0.64 with single sentences, 0.72 with BM25's first."""

_SCANNED: WeakKeyDictionary[Engine, Shared[Engine]] = WeakKeyDictionary()


def scanned(engine: Engine) -> Shared[Engine]:
    """Engines in memory, one a collection, around the model, profile and settings of ``engine``.

    All methods made with the same engine share them, so that a collection is scanned once.
    """
    if engine not in _SCANNED:
        llm, profile = engine.llm, engine.profile
        scan, retrieve = engine.scan_settings, engine.retrieve_settings

        def read(collection: Collection) -> Engine:
            found = Engine(llm, profile, scan=scan, retrieve=retrieve)
            found.add(collection.documents)
            # an engine projects the null question once in its life: not at the first one's expense
            found.retrieve("N/A", max_tokens=1, mode="features")
            return found

        _SCANNED[engine] = Shared(read)
    return _SCANNED[engine]


class S3:
    """As shipped: attention scoring and words, fused; with the engine's own settings."""

    note = ""
    mode: Mode = "hybrid"
    scoring: Scoring | None = None
    settings: RetrieveSettings | None = None

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model; its index is not touched."""
        self._scanned = scanned(engine)
        self.index = engine

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        self.index = self._scanned.of(collection)

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        spans = self.index.retrieve(
            question,
            max_tokens=None,
            mode=self.mode,
            scoring=self.scoring,
            settings=self.settings,
        )
        return [Place(span.doc_id, span.start, span.end) for span in spans]


class S3Fast(S3):
    """Both legs from the index alone: what is left of ``s3`` without the reading in context."""

    mode: Mode = "fast"


class S3WithoutFeatures(S3):
    """Words and the reading in context: what is left of ``s3`` without the sparse codes."""

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model; its index is not touched."""
        super().__init__(engine)
        settings = engine.retrieve_settings
        fusion = settings.fusion.model_copy(
            update={"weights": {**settings.fusion.weights, "features": 0.0}}
        )
        candidates = settings.candidates.model_copy(update={"features": 0})
        self.settings = settings.model_copy(update={"fusion": fusion, "candidates": candidates})


class S3Attention(S3):
    """The model's features alone, scored by its heads."""

    mode: Mode = "features"
    scoring: Scoring | None = "attention"

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model; its index is not touched.

        Raises:
            MethodUnavailable: the profile has no heads.
        """
        super().__init__(engine)
        if not engine.profile.card.heads:
            raise MethodUnavailable(f"profile {engine.profile.card.name} has no query heads")


class S3Pure(S3):
    """S3-Pure: Eq. 7 alone, as published."""

    mode: Mode = "features"
    scoring: Scoring | None = "coactivation"
    settings = PUBLISHED


class S3Hybrid(S3):
    """S3-Hybrid: Eq. 7 in union with BM25 and lead/tail, as published."""

    mode: Mode = "fast"
    scoring: Scoring | None = "coactivation"
    settings = PUBLISHED


class TantivyBM25(S3):
    """The BM25 leg alone."""

    note = "its index seconds are those of the whole scan, which words alone would not need"
    mode: Mode = "bm25"
