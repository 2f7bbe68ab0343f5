"""BM25 by the package rank-bm25, over sentences or over chunks of 256 tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.units import DEPTH, UNIT_NAMES, UnitKind, units, words

__all__ = ["ChunkBM25", "SentenceBM25"]


class SentenceBM25:
    """Okapi BM25 with the package's defaults (k1 1.5, b 0.75) over sentences."""

    kind: UnitKind = "sentences"

    def __init__(self, engine: Engine) -> None:
        """Count the tokens of chunks with the engine's model.

        Raises:
            MethodUnavailable: rank-bm25 is not installed.
        """
        try:
            from rank_bm25 import BM25Okapi
        except ImportError as e:
            raise MethodUnavailable(
                "rank-bm25 is not installed: pip install s3-retriever-bench"
            ) from e
        self.note = UNIT_NAMES[self.kind]
        self._make = BM25Okapi
        self._llm = engine.llm
        self._units: Sequence[Place] = ()
        self._bm25: Any = None

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        self._units = units(collection, self.kind, self._llm)
        self._bm25 = self._make([words(collection.text(unit)) for unit in self._units])

    def rank(self, question: str) -> list[Place]:
        """Best first; units without a common word come last and fill what budget is left."""
        scores = self._bm25.get_scores(words(question))
        return [self._units[n] for n in np.argsort(-scores, kind="stable")[:DEPTH]]


class ChunkBM25(SentenceBM25):
    """The same over chunks of 256 tokens."""

    kind: UnitKind = "chunks"
