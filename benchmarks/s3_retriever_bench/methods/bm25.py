"""BM25 by the package rank-bm25."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.units import UnitKind, shared_units, words
from s3_retriever_bench.sharing import Shared, of_engine

__all__ = ["BM25"]


class BM25:
    """Okapi BM25 with the package's defaults (k1 1.5, b 0.75)."""

    name = "rank-bm25"

    def __init__(self, engine: Engine, kind: UnitKind) -> None:
        """Score the units of a kind.

        Raises:
            MethodUnavailable: rank-bm25 is not installed.
        """
        try:
            from rank_bm25 import BM25Okapi
        except ImportError as e:
            raise MethodUnavailable(
                "rank-bm25 is not installed: pip install s3-retriever-bench"
            ) from e
        units = shared_units(engine, kind)

        def make(collection: Collection) -> Any:
            read = [words(text) for text in units.of(collection).texts]
            # the package divides by the number of words
            return BM25Okapi(read) if any(read) else np.zeros(len(read))

        self._shared: Shared[Any] = of_engine(engine, ("bm25", kind), lambda: Shared(make))
        self._here: Any = np.zeros(0)

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.ranking.Scorer`."""
        self._here = self._shared.of(collection)

    def scores(self, question: str) -> np.ndarray:
        """``(n_units,)``; exactly 0 without a common word."""
        if isinstance(self._here, np.ndarray):
            return self._here
        found: np.ndarray = self._here.get_scores(words(question))
        return found
