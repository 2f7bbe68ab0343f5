"""BM25 by the package rank-bm25, over sentences or over chunks of 256 tokens."""

from __future__ import annotations

import re

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.evaluate.datasets import Example, Range
from s3_retriever.text import sentences

__all__ = ["ChunkBM25", "SentenceBM25"]

CHUNK_TOKENS = 256


class SentenceBM25:
    """Best sentences first, as many as fit."""

    def __init__(self, engine: Engine) -> None:
        """Count tokens with the engine's model."""
        self._generator = engine.generator

    def retrieve(self, example: Example, max_tokens: int) -> list[Range]:
        """See :class:`~s3_retriever.evaluate.methods.Method`."""
        units = self._units(example.context)
        words = [_words(example.context[start:end]) or [""] for start, end in units]
        from rank_bm25 import BM25Okapi

        scores = BM25Okapi(words).get_scores(_words(example.question))
        chosen: list[Range] = []
        left = max_tokens
        for index in np.argsort(-scores, kind="stable"):
            start, end = units[index]
            cost = self._generator.count_tokens(example.context[start:end])
            if cost <= left:
                chosen.append((start, end))
                left -= cost
        return chosen

    def _units(self, text: str) -> list[Range]:
        return sentences(text, 0, len(text))


class ChunkBM25(SentenceBM25):
    """Chunks of 256 tokens; where a whole one does not fit any more, its beginning."""

    def retrieve(self, example: Example, max_tokens: int) -> list[Range]:
        """See :class:`~s3_retriever.evaluate.methods.Method`."""
        if max_tokens >= CHUNK_TOKENS:
            return super().retrieve(example, max_tokens)
        (best, *_) = super().retrieve(example, CHUNK_TOKENS)
        tokens = self._generator.tokenize(example.context)
        inside = np.flatnonzero((tokens.starts >= best[0]) & (tokens.ends <= best[1]))
        return [(best[0], int(tokens.ends[inside[:max_tokens][-1]]))]

    def _units(self, text: str) -> list[Range]:
        tokens = self._generator.tokenize(text)
        last = len(tokens)
        return [
            (int(tokens.starts[first]), int(tokens.ends[min(first + CHUNK_TOKENS, last) - 1]))
            for first in range(0, last, CHUNK_TOKENS)
        ]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
