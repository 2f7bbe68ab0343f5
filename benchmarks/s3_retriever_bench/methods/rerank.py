"""A cheap order, e.g. the dense one, then a cross-encoder over its best hundred."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import ModelError
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.weights import find_weights
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.ranking import Scorer, UnitRanking
from s3_retriever_bench.methods.units import UnitKind

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = ["Reranked"]

HUB_ID = "BAAI/bge-reranker-v2-m3"
CANDIDATES = 100
"""Units that the cross-encoder reads, as in the RAG baseline of S3-Attention (2601.17702)."""
MAX_TOKENS = 512
"""Of question and unit together, in the cross-encoder's tokens; the unit is cut."""


class Reranked(UnitRanking):
    """What the cross-encoder did not read follows in the order before."""

    def __init__(
        self,
        engine: Engine,
        scorer: Callable[[Engine, UnitKind], Scorer] = Cosines,
        kind: UnitKind = "sentences",
        model: str = HUB_ID,
    ) -> None:
        """See :class:`~s3_retriever_bench.methods.ranking.UnitRanking`.

        Args:
            engine: as there.
            scorer: gives the first order.
            kind: what is ranked.
            model: the cross-encoder, a hub id or a folder.

        Raises:
            MethodUnavailable: the cross-encoder or the embedding model cannot be had.
        """
        super().__init__(engine, [scorer], [kind])
        self._cross_encoder = _load(model, str(engine.llm.describe()["device"]))
        self._collection = Collection((), ())
        self.note += f", best {CANDIDATES} reranked by {model}"

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        super().read(collection)
        self._collection = collection

    def rank(self, question: str) -> list[Place]:
        """The cross-encoder reads the question itself, also where HyDE's passage ranked before."""
        before = super().rank(question)
        candidates = before[:CANDIDATES]
        pairs = [(question, self._collection.text(unit)) for unit in candidates]
        scores = np.asarray(self._cross_encoder.predict(pairs, show_progress_bar=False))
        order = np.argsort(-scores, kind="stable")
        return [candidates[n] for n in order] + before[CANDIDATES:]


@functools.cache
def _load(model: str, device: str) -> CrossEncoder:
    """The cross-encoder, loaded once a process; :func:`load_encoder` has been there before."""
    from sentence_transformers import CrossEncoder

    try:
        folder = find_weights(model)
    except ModelError as e:
        raise MethodUnavailable(
            f"no weights of the cross-encoder {model}: neither a hub nor its cache gives them"
        ) from e
    with quiet_transformers():
        loaded: CrossEncoder = CrossEncoder(
            str(folder),
            device=device,
            max_length=MAX_TOKENS,
            model_kwargs={"use_safetensors": True},
        )
    return loaded
