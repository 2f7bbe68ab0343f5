"""Dense retrieval: the cosine of a question's embedding and each unit's."""

from __future__ import annotations

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever_bench.methods.encoder import Embedded, embedded, load_encoder
from s3_retriever_bench.methods.units import DEPTH, UNIT_NAMES, UnitKind

__all__ = ["Dense", "DenseChunks"]


class Dense:
    """Over sentences."""

    kind: UnitKind = "sentences"

    def __init__(self, engine: Engine) -> None:
        """Count the tokens of chunks with the engine's model; compute where it does.

        Raises:
            MethodUnavailable: there is no embedding model.
        """
        self._encoder = load_encoder(str(engine.llm.describe()["device"]))
        self._embedded = embedded(engine, self.kind)
        self._here = Embedded((), np.zeros((0, 0), dtype=np.float32))
        self.note = f"{self._encoder.name}, {UNIT_NAMES[self.kind]}"

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        self._here = self._embedded.of(collection)

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        cosines = self._here.vectors @ self._vector(question)
        return [self._here.units[n] for n in np.argsort(-cosines, kind="stable")[:DEPTH]]

    def _vector(self, question: str) -> np.ndarray:
        """What the units are compared with; its length does not matter."""
        return self._encoder.question(question)


class DenseChunks(Dense):
    """Over chunks of 256 tokens."""

    kind: UnitKind = "chunks"
