"""Postings: in which blocks of a batch each term stands, and how often, as rows of a table.

A commit is one batch in each partition that it writes to. Terms that stand in many blocks have a
row of their own; rarer ones share a row with their neighbours, so that a batch of one document is
a few rows and not thousands. A row's ``slot`` says how many low bits of a term its bucket leaves
out (the level) and the rest of the bits; to look a term up is to ask for one slot a level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from s3_retriever.storage.postgres.codec import term_of_word, word_bits

__all__ = [
    "FEATURES",
    "WORDS",
    "Kind",
    "PostingRow",
    "Postings",
    "block_dtype",
    "feature_postings",
    "merged",
    "posting_rows",
    "slots_of",
    "word_postings",
]

_SHARED = 128
"""Postings of a row that several terms share, about; a term with as many has its own."""
_LEVEL_SHIFT = word_bits
_SPARSE = 16
"""Places for a count that may be there for each one that is counted."""


@dataclass(frozen=True)
class Kind:
    """Words or features: what is different between their rows."""

    number: int
    terms: np.dtype[np.signedinteger]
    """In memory: there are tens of millions of postings in a large batch."""
    counts: np.dtype[np.unsignedinteger]


WORDS = Kind(0, np.dtype(np.int64), np.dtype("<u2"))
FEATURES = Kind(1, np.dtype(np.int32), np.dtype("u1"))


@dataclass(frozen=True)
class Postings:
    """Terms and blocks, sorted by term and then block."""

    terms: np.ndarray
    """``(n,)`` integers."""
    blocks: np.ndarray
    """``(n,)`` integers: numbers of blocks in the batch."""
    counts: np.ndarray
    """``(n,)`` integers: how often the term stands in the block."""


class PostingRow(NamedTuple):
    """A row of the table: one term, or the rarer ones of a bucket."""

    slot: int
    terms: bytes
    """Of a bucket: its terms, ascending (int64), and the postings of each (uint32)."""
    blocks: bytes
    """Numbers of blocks in the batch, term by term, ascending."""
    counts: bytes
    """How often the term stands in each."""

    def slices(self, wanted: Collection[int]) -> Iterator[tuple[int, slice]]:
        """Those of some terms that are in the row, and which of its postings are theirs."""
        if not self.terms:
            if self.slot in wanted:
                yield self.slot, slice(None)
            return
        n = len(self.terms) // 12
        terms = np.frombuffer(self.terms, "<i8", n).tolist()
        end = 0
        for term, size in zip(
            terms, np.frombuffer(self.terms, "<u4", n, 8 * n).tolist(), strict=True
        ):
            begin, end = end, end + size
            if term in wanted:
                yield term, slice(begin, end)

    def postings(self, kind: Kind, n_blocks: int) -> Postings:
        """All that it holds."""
        blocks = np.frombuffer(self.blocks, block_dtype(n_blocks)).astype(np.int32)
        counts = np.frombuffer(self.counts, kind.counts)
        if not self.terms:
            return Postings(np.full(len(blocks), self.slot, kind.terms), blocks, counts)
        n = len(self.terms) // 12
        terms = np.frombuffer(self.terms, "<i8", n).astype(kind.terms)
        return Postings(
            np.repeat(terms, np.frombuffer(self.terms, "<u4", n, 8 * n)), blocks, counts
        )


def feature_postings(ids: Sequence[np.ndarray], n_latents: int, block_tokens: int) -> Postings:
    """Of documents' latents ``(n_tokens, n_hookpoints, k)``; their blocks follow each other."""
    terms, blocks = [], []
    first = 0
    for one in ids:
        n_tokens, n_hookpoints, _ = one.shape
        term = one.astype(np.int64) + n_latents * np.arange(n_hookpoints)[None, :, None]
        block = first + np.arange(n_tokens) // block_tokens
        terms.append(term.ravel())
        blocks.append(np.repeat(block, term[0].size if n_tokens else 0))
        first += -(-n_tokens // block_tokens)
    n_terms = n_latents * (ids[0].shape[1] if ids else 0)
    return _counted(np.arange(n_terms), _joined(terms), _joined(blocks), first)


def word_postings(words: Sequence[Sequence[str]]) -> Postings:
    """Of the words of blocks, repeated ones included."""
    known: dict[str, int] = {}
    for block in words:
        for word in block:
            if word not in known:
                known[word] = term_of_word(word)
    terms = np.unique(np.fromiter(known.values(), np.int64, len(known)))
    numbers = dict(zip(known, np.searchsorted(terms, list(known.values())).tolist(), strict=True))
    stands = np.array([numbers[w] for block in words for w in block], dtype=np.int64)
    blocks = np.repeat(np.arange(len(words)), [len(block) for block in words])
    return _counted(terms, stands, blocks, len(words))


def _counted(terms: np.ndarray, numbers: np.ndarray, blocks: np.ndarray, n_blocks: int) -> Postings:
    """Postings of ascending ``terms``, from the number of each one that stands in a block."""
    n_blocks = max(n_blocks, 1)
    keys = numbers * np.int64(n_blocks) + blocks
    if len(terms) * n_blocks <= _SPARSE * len(keys):  # several times as fast as to sort them
        table = np.bincount(keys)
        keys = np.flatnonzero(table)
        counts = table[keys]
    else:
        keys, counts = np.unique(keys, return_counts=True)
    numbers, blocks = np.divmod(keys, n_blocks)
    return Postings(terms[numbers], blocks, counts)


def merged(parts: Sequence[Postings]) -> Postings:
    """Postings of several batches, whose blocks were numbered through, as of one.

    Parts come in the order of their blocks.
    """
    terms = _joined([p.terms for p in parts])
    blocks, counts = _joined([p.blocks for p in parts]), _joined([p.counts for p in parts])
    order = np.argsort(terms, kind="stable")  # quick where much is in order
    return Postings(terms[order], blocks[order], counts[order])


def posting_rows(
    postings: Postings, kind: Kind, bits: int, n_blocks: int
) -> tuple[int, list[PostingRow]]:
    """The level of a batch's buckets, and all its rows.

    Args:
        postings: of the batch.
        kind: of the terms.
        bits: of a term.
        n_blocks: of the batch.
    """
    starts = np.flatnonzero(np.diff(postings.terms, prepend=-1))
    terms = postings.terms[starts].astype(np.int64)
    sizes = np.diff(starts, append=len(postings.terms))
    shared = int(sizes[sizes < _SHARED].sum())
    level = max(0, bits - max(shared // _SHARED, 1).bit_length() + 1)
    alone = sizes >= _SHARED if level else np.ones(len(terms), dtype=bool)
    slots = np.where(alone, terms, (level << _LEVEL_SHIFT) | (terms >> level))
    order = np.argsort(slots, kind="stable")  # terms ascend in a slot
    before = np.cumsum(sizes[order]) - sizes[order]
    rows = np.arange(len(postings.terms)) + np.repeat(starts[order] - before, sizes[order])
    width = block_dtype(n_blocks)
    most = np.iinfo(kind.counts).max
    blocks = postings.blocks[rows].astype(width).tobytes()
    counts = np.minimum(postings.counts[rows], most).astype(kind.counts).tobytes()
    terms, sizes, slots, alone = terms[order], sizes[order], slots[order], alone[order]
    ends = np.cumsum(sizes).tolist()
    bounds = np.flatnonzero(np.diff(slots, prepend=-1)).tolist()
    found = []
    for begin, end in pairwise([*bounds, len(slots)]):
        first, last = ends[begin - 1] if begin else 0, ends[end - 1]
        head = b""
        if not alone[begin]:
            members = slice(begin, end)
            head = terms[members].astype("<i8").tobytes() + sizes[members].astype("<u4").tobytes()
        found.append(
            PostingRow(
                int(slots[begin]),
                head,
                blocks[first * width.itemsize : last * width.itemsize],
                counts[first * kind.counts.itemsize : last * kind.counts.itemsize],
            )
        )
    return level, found


def slots_of(term: int, levels: Sequence[int]) -> Iterator[int]:
    """Where rows of a term may be, in batches whose shared rows are of some levels."""
    yield term
    for level in levels:
        if level:
            yield (level << _LEVEL_SHIFT) | (term >> level)


def block_dtype(n_blocks: int) -> np.dtype[np.unsignedinteger]:
    """Of the numbers of a batch's blocks."""
    return np.dtype("<u2") if n_blocks <= 1 << 16 else np.dtype("<u4")


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)
