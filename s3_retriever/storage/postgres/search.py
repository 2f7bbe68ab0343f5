"""Looking blocks up by words and by features, with the scores that the embedded engine gives them.

The postings of a question's terms come in one statement, and are scored here: which servers hold
them does not matter, and nothing is rounded otherwise than elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.search.analyzers import content_stems, stems
from s3_retriever.search.base import BLOCK_TOKENS, FeatureWeights, Hit
from s3_retriever.search.filters import Filter, compile_filter
from s3_retriever.storage.postgres import batches
from s3_retriever.storage.postgres.batches import Batch, batch_of
from s3_retriever.storage.postgres.bm25 import norms, weight_of
from s3_retriever.storage.postgres.codec import term_of_word
from s3_retriever.storage.postgres.postings import (
    FEATURES,
    WORDS,
    Kind,
    PostingRow,
    block_dtype,
    slots_of,
)
from s3_retriever.storage.postgres.state import THERE_IN_BATCHES
from s3_retriever.types import TokenRange

if TYPE_CHECKING:
    from s3_retriever.storage.postgres.view import PostgresView

__all__ = ["PostgresSearch"]

_KEPT_POSTINGS = 1 << 24
"""Of a state, in memory."""
_MARGIN = 8
"""More hits than are wanted: a document may have been given up since."""

_Found = tuple[np.ndarray, np.ndarray]
"""Blocks ``(n,)`` int32, counted through all batches, and a term's share of BM25 in each, float32:
what is left of a score without the term's weight and rarity."""


class PostgresSearch:
    """A view's blocks by words and by features."""

    def __init__(self, view: PostgresView) -> None:
        """Use :attr:`PostgresView.search`."""
        self._view = view
        self._postings: dict[tuple[int, int], _Found] = {}
        self._n_kept = 0

    @property
    def n_blocks(self) -> int:
        """Blocks in the index."""
        return self._view.state.n_blocks

    def words(self, text: str, language: str | None = None) -> list[str]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        if language is None and len(self._languages) > 1:
            return content_stems(text, self._languages)
        return stems(text, language if language and language in self._languages else "en")

    @cached_property
    def _languages(self) -> list[str]:
        return ["en", *sorted({name for batch in self._batches for name in batch.languages})]

    def document_frequencies(self, words: Collection[str]) -> dict[str, int]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        terms = {word: term_of_word(word) for word in words}
        found = self._of_terms(WORDS, list(dict.fromkeys(terms.values())))
        return {word: len(found[term][0]) for word, term in terms.items()}

    def search_words(self, words: Iterable[str], k: int, filter: Filter | None = None) -> list[Hit]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        terms = {term_of_word(word): 1.0 for word in words}
        return self._search(WORDS, terms, k, filter)

    def search_features(
        self, weights: FeatureWeights, k: int, filter: Filter | None = None
    ) -> list[Hit]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        n_latents = self._view.tables.layout.n_latents
        terms = {
            hookpoint * n_latents + int(latent): float(weight)
            for hookpoint, by_latent in enumerate(weights)
            for latent, weight in by_latent.items()
        }
        return self._search(FEATURES, terms, k, filter)

    def _search(
        self, kind: Kind, terms: Mapping[int, float], k: int, filter: Filter | None
    ) -> list[Hit]:
        if filter:
            compile_filter(filter)
        if not terms or k < 1:
            return []
        scores = self._scores(kind, terms)
        held = scores > 0
        if len(self._dead):
            held &= ~np.isin(self.owners, self._dead)
        if filter:
            held &= np.isin(self.owners, self._view.directory(filter).numbers)
        blocks = np.flatnonzero(held)
        return self._hits(blocks, scores[blocks], k)

    def _scores(self, kind: Kind, terms: Mapping[int, float]) -> np.ndarray:
        """``(n_blocks of all batches,)`` float64: BM25, 0 where no term stands."""
        import torch  # its sums are several times as fast as numpy's; counting needs neither

        found = self._of_terms(kind, list(terms))
        n_blocks = len(self.owners)
        scores = torch.zeros(n_blocks, dtype=torch.float64)
        for term, weight in terms.items():
            blocks, shares = found[term]
            scores.index_add_(
                0,
                torch.from_numpy(blocks),
                torch.from_numpy(shares).double(),
                alpha=weight_of(n_blocks, len(blocks)) * weight,
            )
        summed: np.ndarray = scores.numpy()
        return summed

    @cached_property
    def _norms(self) -> tuple[np.ndarray, np.ndarray]:
        """``(n_blocks,)`` float32 each: what is added to a word's or a feature's frequency."""
        n_words = sum(batch.n_words for batch in self._batches)
        n_features = sum(batch.n_features for batch in self._batches)
        words, features = self._lengths
        means = [n / max(len(words), 1) for n in (n_words, n_features)]
        return (
            norms(means[0]).astype(np.float32)[words],
            norms(means[1]).astype(np.float32)[features],
        )

    def _hits(self, blocks: np.ndarray, scores: np.ndarray, k: int) -> list[Hit]:
        """The best blocks whose documents are there, best first; of equal ones the older."""
        n = k + _MARGIN
        while True:
            best = _best(scores, self._places[blocks], n)
            chosen, owners = blocks[best], self.owners[blocks[best]]
            records = self._view.records_of(list(dict.fromkeys(owners.tolist())))
            hits = []
            for block, owner, score in zip(chosen, owners.tolist(), scores[best], strict=True):
                if (record := records.get(owner)) is not None:
                    first = (int(self._places[block]) - owner) * BLOCK_TOKENS
                    last = min(first + BLOCK_TOKENS, record.n_tokens)
                    hits.append(Hit(TokenRange(record.id, first, last), float(score)))
            if len(hits) >= k or n >= len(blocks):
                return hits[:k]
            n *= 4

    def _of_terms(self, kind: Kind, terms: Sequence[int]) -> dict[int, _Found]:
        """Blocks of terms; what was asked before is not asked again."""
        found = {
            t: self._postings[kind.number, t] for t in terms if (kind.number, t) in self._postings
        }
        if missing := [term for term in terms if term not in found]:
            looked_up = self._looked_up(kind, missing)
            found |= looked_up
            n = sum(len(blocks) for blocks, _ in looked_up.values())
            if self._n_kept + n > _KEPT_POSTINGS:
                self._postings, self._n_kept = {}, 0
            self._postings.update({(kind.number, t): f for t, f in looked_up.items()})
            self._n_kept += n
        return found

    def _looked_up(self, kind: Kind, terms: Sequence[int]) -> dict[int, _Found]:
        levels = sorted({batch.levels[kind.number] for batch in self._batches})
        slots = {slot for term in terms for slot in slots_of(term, levels)}
        rows = self._view.ask(
            "SELECT part, batch, slot, terms, blocks, counts FROM postings "
            "WHERE part = ANY(%s) AND kind = %s AND slot = ANY(%s::bigint[]) "
            "AND batch = ANY(%s::bigint[])",  # what was merged stays for a while, and is large
            kind.number,
            list(slots),
            sorted({batch.number for batch in self._batches}),
        )
        numbered = zip(self._batches, self._firsts, strict=True)
        firsts = {(batch.part, batch.number): (first, batch) for batch, first in numbered}
        norms_of_blocks = self._norms[kind.number]
        pieces = {term: _Pieces(kind) for term in terms}
        for part, number, *columns in rows:
            if (part, number) in firsts:  # else of another state
                first, batch = firsts[part, number]
                row = PostingRow(*columns)
                for term, rows_of_term in row.slices(pieces):
                    pieces[term].add(first, batch.n_blocks, row, rows_of_term)
        return {term: found.joined(norms_of_blocks) for term, found in pieces.items()}

    @cached_property
    def _batches(self) -> list[Batch]:
        """Of this state, in order of addition."""
        view = self._view
        rows = view.ask(
            f"SELECT part, batch FROM batches WHERE part = ANY(%s) AND {THERE_IN_BATCHES}",
            *view.state.there,
        )
        wanted = sorted({(batch, part) for part, batch in rows})
        with view.tables.batches_lock:
            known = dict(view.tables.batches)
        missing = [batch for batch, part in wanted if (part, batch) not in known]
        if missing:
            rows = view.ask(
                f"SELECT {batches.COLUMNS} FROM batches WHERE part = ANY(%s) "
                "AND batch = ANY(%s::bigint[])",
                missing,
            )
            known |= {(batch.part, batch.number): batch for batch in map(batch_of, rows)}
        found = [known[part, batch] for batch, part in wanted]
        with view.tables.batches_lock:
            view.tables.batches = {(batch.part, batch.number): batch for batch in found}
        return found

    @cached_property
    def _firsts(self) -> list[int]:
        """Blocks before each batch."""
        sizes = np.cumsum([0, *(batch.n_blocks for batch in self._batches)])
        return [int(n) for n in sizes[:-1]]

    @cached_property
    def owners(self) -> np.ndarray:
        """``(n_blocks,)`` int64: the number of each block's document."""
        return _joined([batch.owners for batch in self._batches])

    @cached_property
    def _places(self) -> np.ndarray:
        """``(n_blocks,)`` int64."""
        return _joined([batch.places for batch in self._batches])

    @cached_property
    def _lengths(self) -> np.ndarray:
        """``(2, n_blocks)`` uint8."""
        empty = np.empty((2, 0), np.uint8)
        return np.concatenate([empty, *(batch.lengths for batch in self._batches)], axis=1)

    @cached_property
    def _dead(self) -> np.ndarray:
        """Numbers of documents that are in batches, but not in this state any more."""
        horizon, excluded = self._view.state.added
        rows = self._view.ask(
            "SELECT number FROM documents WHERE part = ANY(%s) AND removed < 9223372036854775807 "
            "AND removed <= %s AND removed <> ALL(%s::bigint[])",
            horizon,
            excluded,
        )
        return np.array([number for (number,) in rows], dtype=np.int64)


class _Pieces:
    """The postings of one term, as they come batch by batch; made arrays of once, at the end."""

    def __init__(self, kind: Kind) -> None:
        """None yet."""
        self._kind = kind
        self._by_dtype: dict[Any, list[tuple[int, int, bytes, bytes]]] = {}

    def add(self, first: int, n_blocks: int, row: PostingRow, part: slice) -> None:
        """Take postings of a batch of ``n_blocks`` blocks whose first one is ``first``."""
        dtype, blocks, counts = block_dtype(n_blocks), row.blocks, row.counts
        if part.stop is not None:
            width, size = dtype.itemsize, self._kind.counts.itemsize
            blocks = blocks[part.start * width : part.stop * width]
            counts = counts[part.start * size : part.stop * size]
        n = len(blocks) // dtype.itemsize
        self._by_dtype.setdefault(dtype, []).append((first, n, blocks, counts))

    def joined(self, norms_of_blocks: np.ndarray) -> _Found:
        """Blocks, counted through all batches, and the term's share in each."""
        blocks, counts = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        for dtype, pieces in self._by_dtype.items():
            firsts, sizes, numbers, frequencies = zip(*pieces, strict=True)
            inside = np.frombuffer(b"".join(numbers), dtype).astype(np.int32)
            blocks.append(inside + np.repeat(np.array(firsts, np.int32), sizes))
            held = np.frombuffer(b"".join(frequencies), self._kind.counts)
            counts.append(held.astype(np.float32))
        places, shares = np.concatenate(blocks), np.concatenate(counts)
        shares /= shares + norms_of_blocks[places]
        return places, shares


def _best(scores: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """Indices of the ``n`` highest scores, best first; of equal ones that of the lower place."""
    candidates = np.arange(len(scores))
    if n < len(scores):
        least = np.partition(scores, len(scores) - n)[len(scores) - n]
        candidates = np.flatnonzero(scores >= least)
    order = np.lexsort((places[candidates], -scores[candidates]))
    best: np.ndarray = candidates[order[:n]]
    return best


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)
