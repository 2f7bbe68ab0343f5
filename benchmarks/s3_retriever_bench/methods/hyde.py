"""HyDE: the model imagines the passage, an embedding model looks for its like.

Source: Gao, Ma, Lin and Callan, Precise Zero-Shot Dense Retrieval without Relevance Labels
(arXiv 2212.10496). As published: the prompt, and the mean of the embeddings of the passage and of
the question. Chosen here: one greedy passage of at most 64 tokens by the resident model, instead of
several sampled ones.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import Chat
from s3_retriever_bench.methods.dense import Dense
from s3_retriever_bench.methods.units import UnitKind
from s3_retriever_bench.sharing import Shared

__all__ = ["HyDE", "HyDEChunks", "hypothetical_passage"]

PROMPT = "Please write a passage to answer the question\nQuestion: {}\nPassage:"
MAX_NEW_TOKENS = 64

_Passages = dict[str, Shared[str]]
"""By question: the variants of the method share a passage, and each is charged for its writing."""

_WRITTEN: WeakKeyDictionary[Engine, Shared[_Passages]] = WeakKeyDictionary()


def hypothetical_passage(llm: Chat, question: str) -> str:
    """A passage as one that answers ``question`` might read, true or not."""
    ids = llm.chat_ids([{"role": "user", "content": PROMPT.format(question)}])
    return "".join(llm.stream(ids, max_new_tokens=MAX_NEW_TOKENS)).strip()


class HyDE(Dense):
    """Over sentences."""

    def __init__(self, engine: Engine) -> None:
        """See :class:`~s3_retriever_bench.methods.dense.Dense`; the engine's model writes.

        Raises:
            MethodUnavailable: there is no embedding model.
        """
        super().__init__(engine)
        self._llm = engine.llm
        self._passages = _WRITTEN.setdefault(engine, Shared(lambda _: {}))
        self._collection = Collection((), ())
        self.note += f", passages by {engine.llm.name}"

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        super().read(collection)
        self._collection = collection

    def _vector(self, question: str) -> np.ndarray:
        passage = self._passage(question)
        vector = super()._vector(question)
        return vector + self._encoder.passages([passage])[0] if passage else vector

    def _passage(self, question: str) -> str:
        write = Shared(lambda _: hypothetical_passage(self._llm, question))
        passages = self._passages.of(self._collection)
        return passages.setdefault(question, write).of(self._collection)


class HyDEChunks(HyDE):
    """Over chunks of 256 tokens."""

    kind: UnitKind = "chunks"
