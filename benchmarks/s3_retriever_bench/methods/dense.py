"""Dense retrieval: the cosine of a question's embedding and each unit's."""

from __future__ import annotations

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection
from s3_retriever_bench.methods.e5 import load_e5
from s3_retriever_bench.methods.encoder import Encoder, load_encoder
from s3_retriever_bench.methods.units import UnitKind, shared_units
from s3_retriever_bench.sharing import Shared, SharedAnswers, of_engine

__all__ = ["Cosines", "E5Cosines"]


class Cosines:
    """By the embedding model of :func:`~s3_retriever_bench.methods.encoder.load_encoder`."""

    def __init__(self, engine: Engine, kind: UnitKind) -> None:
        """Score the units of a kind; compute where the engine's model does.

        Raises:
            MethodUnavailable: there is no embedding model.
        """
        encoder = self._load(str(engine.llm.describe()["device"]))
        units = shared_units(engine, kind)

        def embed(collection: Collection) -> np.ndarray:
            return encoder.passages(units.of(collection).texts)

        self.name = encoder.name
        self._encoder = encoder
        key = ("vectors", encoder.name)
        self._shared = of_engine(engine, (*key, kind), lambda: Shared(embed))
        self._questions = of_engine(engine, key, lambda: SharedAnswers(encoder.question))
        self._collection = Collection((), ())
        self._vectors = np.zeros((0, 0), dtype=np.float32)

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.ranking.Scorer`."""
        self._collection = collection
        self._vectors = self._shared.of(collection)

    def scores(self, question: str) -> np.ndarray:
        """``(n_units,)`` cosines, or what is in proportion to them."""
        found: np.ndarray = self._vectors @ self._vector(question)
        return found

    def _load(self, device: str) -> Encoder:
        return load_encoder(device)

    def _vector(self, question: str) -> np.ndarray:
        """What the units are compared with; its length does not matter."""
        return self._questions.of(self._collection, question)


class E5Cosines(Cosines):
    """By multilingual-e5-small."""

    def _load(self, device: str) -> Encoder:
        return load_e5(device)
