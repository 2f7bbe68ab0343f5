"""The chosen heads reading question and document together: attention with nothing left out.

Source: in-context reranking (ICR, arXiv 2410.02642): attention from the question's tokens to the
text, less that of a question without content.
"""

from __future__ import annotations

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever_bench.methods.attention import attention_weights
from s3_retriever_bench.methods.method import MethodUnavailable, own_weights
from s3_retriever_bench.methods.units import units

__all__ = ["ContextOracle"]

TAIL = "\n\nQuestion: {question}\nAnswer:"
LONGEST_QUESTION = 512


class ContextOracle:
    """One forward pass over the whole document for each question; sentences by their attention."""

    note = "reads the whole document for each question"

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model and the heads of its profile.

        Raises:
            MethodUnavailable: the profile has no heads, or the model is not in this process.
        """
        self._llm = own_weights(engine)
        self._card = engine.profile.card
        if not self._card.heads:
            raise MethodUnavailable(f"profile {self._card.name} has no query heads")

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`.

        Raises:
            MethodUnavailable: there are several documents, or one beyond the model's window.
        """
        if len(collection.documents) != 1:
            raise MethodUnavailable("it reads one document in one window, not a whole corpus")
        tokens = self._llm.tokenize(collection.documents[0].text)
        most = self._llm.window - LONGEST_QUESTION
        if len(tokens) > most:
            raise MethodUnavailable(
                f"a document of {len(tokens):,} tokens; the model's window leaves {most:,}"
            )
        self._tokens = tokens
        self._units = units(collection, "sentences", self._llm)
        self._null = self._attention("N/A")

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        scores = self._attention(question) - self._null
        # a token that begins with the space before a sentence is the sentence's first
        lows = np.searchsorted(self._tokens.ends, [u.start for u in self._units], side="right")
        highs = np.searchsorted(self._tokens.starts, [u.end for u in self._units])
        sums = [scores[low:high].sum() for low, high in zip(lows, highs, strict=True)]
        return [self._units[n] for n in np.argsort(-np.array(sums), kind="stable")]

    def _attention(self, question: str) -> np.ndarray:
        """``(n_tokens,)``: the heads' attention to the document, averaged over the question."""
        first = self._llm.prefix_ids("", bos=self._card.bos)
        tail = self._llm.tokenize(TAIL.replace("{question}", question)).ids
        ids = np.concatenate([first, self._tokens.ids, tail]).tolist()
        rows = range(len(ids) - len(tail), len(ids))
        layers = sorted({head.layer for head in self._card.heads})
        weights = attention_weights(self._llm, ids, rows, layers)
        columns = slice(len(first), len(first) + len(self._tokens))
        total = sum(
            head.weight * weights[head.layer][head.head, :, columns].mean(axis=0)
            for head in self._card.heads
        )
        return np.asarray(total)
