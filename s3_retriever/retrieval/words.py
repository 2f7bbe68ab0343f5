"""Words of texts and how rare they are in an index: what BM25 and its relatives share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sized

from s3_retriever.retrieval.memory import Memory
from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.languages import SAMPLE, document_language
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef

__all__ = ["Words", "bytes_of_counts"]

_WORD = 128
"""Bytes of a word and its place in a dictionary."""


class Words:
    """Looks words up for one question; every text is taken apart once for many questions."""

    def __init__(
        self, store: CodeStore, search: CandidateSearch, memory: Memory | None = None
    ) -> None:
        """Take the index's state, and what is remembered of it."""
        self._store = store
        self._search = search
        self._memory = Memory() if memory is None else memory
        self._n_blocks = search.n_blocks
        self._frequencies: dict[str, int] = {}

    @property
    def n_blocks(self) -> int:
        """Blocks in the index."""
        return self._n_blocks

    def language(self, doc_id: str) -> str:
        """A document's language, by whose rules its words were indexed."""
        return self._memory.kept(("language", doc_id), lambda: self._language(doc_id), len)

    def _language(self, doc_id: str) -> str:
        end = min(SAMPLE, self._store.n_characters(doc_id))
        begin = self._store.text(SpanRef(doc_id, 0, end))
        return document_language(self._store.metadata(doc_id), begin)

    def of(self, text: str, doc_id: str) -> list[str]:
        """The words of a text as a document holds them, repeated ones included."""
        return self._search.words(text, self.language(doc_id))

    def counts(self, ref: SpanRef) -> Counter[str]:
        """The words of a span and how often each stands there; not to be changed."""
        return self._memory.kept(
            ("counts", ref),
            lambda: Counter(self.of(self._store.text(ref), ref.doc_id)),
            bytes_of_counts,
        )

    def look_up(self, words: Iterable[str]) -> None:
        """Learn how many blocks hold words, at once, before they are asked for one by one."""
        unknown = [w for w in dict.fromkeys(words) if w not in self._frequencies]
        if unknown:
            self._frequencies |= self._search.document_frequencies(unknown)

    def document_frequency(self, word: str) -> int:
        """Blocks that hold a word."""
        self.look_up([word])
        return self._frequencies[word]

    def idf(self, word: str) -> float:
        """Inverse document frequency over blocks, as in BM25: never below 0."""
        df = self.document_frequency(word)
        return math.log(1 + (self._n_blocks - df + 0.5) / (df + 0.5))


def bytes_of_counts(counts: Sized) -> int:
    """What words and their counts take, about."""
    return _WORD * len(counts)
