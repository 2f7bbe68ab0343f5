"""Batches: the blocks that one commit added to a partition, or that were merged since."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from s3_retriever.storage.postgres.connection import Row

__all__ = ["COLUMNS", "Batch", "batch_of"]

COLUMNS = (
    "part, batch, n_blocks, n_words, n_features, word_level, feature_level, languages, numbers, "
    "sizes, lengths"
)


@dataclass(frozen=True)
class Batch:
    """What its postings do not say."""

    part: int
    number: int
    """Of the commit that made it."""
    n_blocks: int
    n_words: int
    """Words of all blocks, repeated ones included."""
    n_features: int
    """Likewise latents."""
    levels: tuple[int, int]
    """Of the shared rows of words and of features."""
    languages: tuple[str, ...]
    """Of its documents, but for English."""
    numbers: np.ndarray
    """``(n_documents,)`` int64."""
    sizes: np.ndarray
    """``(n_documents,)`` int64: blocks of each."""
    lengths: np.ndarray
    """``(2, n_blocks)`` uint8: codes of the lengths in words and in features."""

    @cached_property
    def owners(self) -> np.ndarray:
        """``(n_blocks,)`` int64: the number of each block's document."""
        return np.repeat(self.numbers, self.sizes)

    @cached_property
    def places(self) -> np.ndarray:
        """``(n_blocks,)`` int64: the place of each block."""
        ends = np.cumsum(self.sizes)
        found: np.ndarray = (
            self.owners + np.arange(self.n_blocks) - np.repeat(ends - self.sizes, self.sizes)
        )
        return found


def batch_of(row: Row) -> Batch:
    """From a row of :data:`COLUMNS`."""
    part, number, n_blocks, n_words, n_features, *levels, languages, numbers, sizes, lengths = row
    return Batch(
        part,
        number,
        n_blocks,
        n_words,
        n_features,
        (levels[0], levels[1]),
        tuple(languages),
        np.frombuffer(numbers, "<i8"),
        np.frombuffer(sizes, "<u4").astype(np.int64),
        np.frombuffer(lengths, np.uint8).reshape(2, -1),
    )
