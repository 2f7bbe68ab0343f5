"""HyDE: the model imagines the passage, an embedding model looks for its like.

Source: Gao, Ma, Lin and Callan, Precise Zero-Shot Dense Retrieval without Relevance Labels
(arXiv 2212.10496). As published: the prompt, and the mean of the embeddings of the passage and of
the question. Chosen here: one greedy passage of at most 64 tokens by the resident model, instead of
several sampled ones.
"""

from __future__ import annotations

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.models.base import Chat
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.units import UnitKind
from s3_retriever_bench.sharing import SharedAnswers, of_engine

__all__ = ["HyDE", "hypothetical_passage"]

PROMPT = "Please write a passage to answer the question\nQuestion: {}\nPassage:"
MAX_NEW_TOKENS = 64


def hypothetical_passage(llm: Chat, question: str) -> str:
    """A passage as one that answers ``question`` might read, true or not."""
    ids = llm.chat_ids([{"role": "user", "content": PROMPT.format(question)}])
    return "".join(llm.stream(ids, max_new_tokens=MAX_NEW_TOKENS)).strip()


class HyDE(Cosines):
    """Cosines with the passage and the question; its variants share a passage."""

    def __init__(self, engine: Engine, kind: UnitKind) -> None:
        """See :class:`~s3_retriever_bench.methods.dense.Cosines`; the engine's model writes.

        Raises:
            MethodUnavailable: there is no embedding model.
        """
        super().__init__(engine, kind)
        llm, encoder = engine.llm, self._encoder

        def write(question: str) -> np.ndarray | None:
            passage = hypothetical_passage(llm, question)
            return encoder.passages([passage])[0] if passage else None

        self._imagined = of_engine(engine, "hyde", lambda: SharedAnswers(write))
        self.name += f", passages by {llm.name}"

    def _vector(self, question: str) -> np.ndarray:
        vector = super()._vector(question)
        imagined = self._imagined.of(self._collection, question)
        return vector if imagined is None else vector + imagined
