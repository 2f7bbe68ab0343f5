"""What the library asks of a search engine: which blocks of tokens could matter to a question.

Scores of an engine only propose; what counts is scored exactly afterwards. There are two ways to
bring another engine. One that lives in the index's folder implements :class:`BlockIndex` and knows
blocks by keys; documents, filters and commits stay with the forward store. A database that holds
documents and metadata itself implements :class:`CandidateSearch`.
``s3_retriever.testing.search`` holds a suite for either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np

from s3_retriever.search.filters import Filter
from s3_retriever.types import TokenRange

__all__ = [
    "BLOCK_TOKENS",
    "Block",
    "BlockHit",
    "BlockIndex",
    "BlockWriter",
    "CandidateSearch",
    "FeatureWeights",
    "Hit",
]

BLOCK_TOKENS = 64
"""Tokens of one candidate block; blocks never cross documents."""

FeatureWeights = Sequence[Mapping[int, float]]
"""For each hookpoint, weights of latents."""


class Hit(NamedTuple):
    """A block of a document and the score of the search that found it."""

    tokens: TokenRange
    score: float


class CandidateSearch(Protocol):
    """Looks up blocks by words and by features, as of one commit."""

    @property
    def n_blocks(self) -> int:
        """Blocks in the index."""

    def words(self, text: str, language: str | None = None) -> list[str]:
        """The words of ``text`` as they are indexed, repeated ones included.

        Args:
            text: of a document or a question.
            language: of the document, a code; ``None`` for a question, whose words are to meet
                those of documents in any language.
        """

    def document_frequencies(self, words: Collection[str]) -> dict[str, int]:
        """Blocks that hold each of some words (deleted ones may count for a while).

        One call for many words, which a database answers at once.
        """

    def search_words(self, words: Iterable[str], k: int, filter: Filter | None = None) -> list[Hit]:
        """The ``k`` best blocks by BM25, best first.

        Args:
            words: as :meth:`words` gives them; a repeated one counts once.
            k: most blocks.
            filter: only blocks of documents whose metadata pass; it must not change scores.
        """

    def search_features(
        self, weights: FeatureWeights, k: int, filter: Filter | None = None
    ) -> list[Hit]:
        """The ``k`` best blocks by the given latents, best first.

        Args:
            weights: for each hookpoint, latent ids and their positive weights.
            k: most blocks.
            filter: as in :meth:`search_words`.
        """


class Block(NamedTuple):
    """A block to be indexed."""

    segment: str
    """Name of the segment it lies in."""
    document: int
    """Number of its document in the segment."""
    number: int
    """Number of the block in the segment."""
    text: str
    """Its words, none cut."""
    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` latents."""
    language: str = "en"
    """A code; by its rules words are made stems."""


class BlockHit(NamedTuple):
    """A block by its key, and a score."""

    segment: str
    number: int
    score: float


class BlockWriter(Protocol):
    """Changes to a :class:`BlockIndex`; they become visible and durable together."""

    def add(self, blocks: Iterable[Block]) -> None:
        """Index blocks.

        Raises:
            IndexStorageError: the disk is full, say.
        """

    def delete(self, segment: str, documents: Iterable[int]) -> None:
        """Remove the blocks of some documents of a segment."""

    def delete_segment(self, segment: str) -> None:
        """Remove every block of a segment."""


class BlockIndex(Protocol):
    """An engine in the index's folder: blocks by words and by features, as of one commit."""

    def words(self, text: str, language: str | None = None) -> list[str]:
        """As of :class:`CandidateSearch`."""

    def n_blocks(self) -> int:
        """Blocks in the index."""

    def n_dead_blocks(self) -> int:
        """Deleted blocks that still take space."""

    def segments(self) -> list[str]:
        """Names of the segments that have blocks in the index."""

    def segment_blocks(self, segment: str) -> int:
        """Blocks of one segment in the index."""

    def document_frequency(self, word: str) -> int:
        """Blocks that hold ``word`` (deleted ones may count until their space is reclaimed)."""

    def search_words(
        self, words: Iterable[str], k: int, documents: Mapping[str, Sequence[int]] | None = None
    ) -> list[BlockHit]:
        """The ``k`` best blocks by BM25; ``documents``: only these, by number and segment."""

    def search_features(
        self,
        weights: FeatureWeights,
        k: int,
        documents: Mapping[str, Sequence[int]] | None = None,
    ) -> list[BlockHit]:
        """The ``k`` best blocks by latents; ``documents`` as in :meth:`search_words`."""

    def changing(self) -> AbstractContextManager[BlockWriter]:
        """What changes the index: committed at the end of the block, forgotten if that raises.

        Raises:
            IndexStorageError: the folder cannot be written, or another process writes.
        """

    def renewed(self) -> BlockIndex:
        """The index as of the last commit; this one stays as it is."""
