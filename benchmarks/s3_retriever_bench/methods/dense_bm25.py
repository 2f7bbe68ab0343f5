"""The usual hybrid: an embedding model and BM25 over the same units, by reciprocal ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever_bench.methods.dense import Dense
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.ranks import reciprocal_rank_fusion
from s3_retriever_bench.methods.units import DEPTH, UnitKind, words

__all__ = ["DenseBM25", "DenseBM25Chunks"]


class DenseBM25(Dense):
    """Over sentences; BM25 (rank-bm25's defaults) ranks only those that share a word."""

    def __init__(self, engine: Engine) -> None:
        """See :class:`~s3_retriever_bench.methods.dense.Dense`.

        Raises:
            MethodUnavailable: rank-bm25 is not installed, or there is no embedding model.
        """
        try:
            from rank_bm25 import BM25Okapi
        except ImportError as e:
            raise MethodUnavailable(
                "rank-bm25 is not installed: pip install s3-retriever-bench"
            ) from e
        super().__init__(engine)
        self._make = BM25Okapi
        self._bm25: Any = None

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        super().read(collection)
        self._bm25 = self._make([words(collection.text(unit)) for unit in self._here.units])

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        scores = self._bm25.get_scores(words(question))
        order = np.argsort(-scores, kind="stable")
        by_words = [self._here.units[n] for n in order if scores[n] != 0][:DEPTH]
        return reciprocal_rank_fusion([super().rank(question), by_words])


class DenseBM25Chunks(DenseBM25):
    """Over chunks of 256 tokens."""

    kind: UnitKind = "chunks"
