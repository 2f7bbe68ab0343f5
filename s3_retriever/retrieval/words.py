"""Words of texts and how rare they are in an index: what BM25 and its relatives share."""

from __future__ import annotations

import math
from collections import Counter

from s3_retriever.search.base import CandidateSearch
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef

__all__ = ["Words"]


class Words:
    """Looks words up for one question; every text is taken apart once."""

    def __init__(self, store: CodeStore, search: CandidateSearch) -> None:
        """Take the index's state."""
        self._store = store
        self._search = search
        self._n_blocks = search.n_blocks
        self._counts: dict[SpanRef, Counter[str]] = {}
        self._frequencies: dict[str, int] = {}

    @property
    def n_blocks(self) -> int:
        """Blocks in the index."""
        return self._n_blocks

    def counts(self, ref: SpanRef) -> Counter[str]:
        """The words of a span and how often each stands there."""
        if ref not in self._counts:
            self._counts[ref] = Counter(self._search.words(self._store.text(ref)))
        return self._counts[ref]

    def document_frequency(self, word: str) -> int:
        """Blocks that hold a word."""
        if word not in self._frequencies:
            self._frequencies[word] = self._search.document_frequency(word)
        return self._frequencies[word]

    def idf(self, word: str) -> float:
        """Inverse document frequency over blocks, as in BM25: never below 0."""
        df = self.document_frequency(word)
        return math.log(1 + (self._n_blocks - df + 0.5) / (df + 0.5))
