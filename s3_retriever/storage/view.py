"""What a question sees: codes, texts and search as of one commit of an index in a folder."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from s3_retriever.search.base import BlockHit, BlockIndex, FeatureWeights, Hit
from s3_retriever.search.filters import Filter, compile_filter
from s3_retriever.storage.base import BlockCodes
from s3_retriever.storage.segment_format import Entry
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot
from s3_retriever.types import Document, Metadata, SpanRef, TextBounds, TokenBatch, TokenRange

__all__ = ["View", "ViewSearch"]


@dataclass(frozen=True, eq=False)
class View:
    """A snapshot and the search part that goes with it; take it once per question.

    It is a :class:`~s3_retriever.storage.base.CodeStore`; :attr:`search` is its
    :class:`~s3_retriever.search.base.CandidateSearch`.
    """

    snapshot: Snapshot
    candidates: BlockIndex

    @cached_property
    def search(self) -> ViewSearch:
        """Looks up blocks."""
        return ViewSearch(self)

    @property
    def n_documents(self) -> int:
        """Documents."""
        return len(self.snapshot.live)

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return self.snapshot.n_tokens

    @property
    def df(self) -> np.ndarray:
        """``(n_hookpoints, n_latents)`` int64: tokens at which each latent is active."""
        return self.snapshot.df

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return doc_id in self.snapshot.live

    def document_ids(self, filter: Filter | None = None) -> list[str]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        if filter is None:
            return list(self.snapshot.live)
        return [entry.id for _, entry in self._passing(filter)]

    def document(self, doc_id: str) -> Document | None:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        if doc_id not in self.snapshot.live:
            return None
        segment, entry = self.snapshot.live[doc_id]
        return Document(entry.id, segment.text(entry), deepcopy(dict(entry.metadata)))

    def metadata(self, doc_id: str) -> Metadata:
        """A document's metadata; not to be changed."""
        return self.snapshot.live[doc_id][1].metadata

    def text(self, ref: SpanRef) -> str:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        segment, entry = self.snapshot.live[ref.doc_id]
        return segment.text(entry)[ref.start : ref.end]

    def bounds(self, doc_id: str) -> TextBounds:
        """Where a document's sentences and paragraphs stand."""
        segment, entry = self.snapshot.live[doc_id]
        return segment.bounds(entry)

    def n_characters(self, doc_id: str) -> int:
        """Length of a document's text."""
        segment, entry = self.snapshot.live[doc_id]
        return len(segment.text(entry))

    def count_tokens(self, ref: SpanRef) -> int:
        """Tokens that begin in a span, as they were scanned."""
        segment, entry = self.snapshot.live[ref.doc_id]
        first, last = entry.tokens
        # numpy would copy all of them first, to compare them as another type
        low = bisect_left(segment.starts, ref.start, first, last)
        return bisect_left(segment.starts, ref.end, low, last) - low

    def whole(self, filter: Filter | None = None, *, most_blocks: int) -> list[TokenRange] | None:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        live = self.snapshot.live
        if filter is None and self.snapshot.n_blocks > most_blocks:
            return None
        allowed = live.values() if filter is None else self._passing(filter)
        found, n_blocks = [], 0
        for _, entry in allowed:
            n_blocks += entry.n_blocks
            if n_blocks > most_blocks:
                return None
            found.append(TokenRange(entry.id, 0, entry.n_tokens))
        return found

    def _passing(self, filter: Filter) -> Iterator[tuple[Segment, Entry]]:
        """The documents whose metadata pass, in order of addition."""
        for name, numbers in self.search.allowed(filter).items():
            segment = self.snapshot.segments[name]
            yield from ((segment, segment.entries[number]) for number in numbers)

    def whole_document(self, doc_id: str) -> TokenRange:
        """All tokens of a document."""
        return TokenRange(doc_id, 0, self.snapshot.live[doc_id][1].n_tokens)

    def merged(self, ranges: Iterable[TokenRange]) -> list[TokenRange]:
        """Ranges in the order of addition; those that meet or overlap as one."""
        order = self._order
        found: list[TokenRange] = []
        for tokens in sorted(set(ranges), key=lambda r: (order[r.doc_id], r.first)):
            last = found[-1] if found else None
            if last and last.doc_id == tokens.doc_id and tokens.first <= last.last:
                found[-1] = TokenRange(last.doc_id, last.first, max(last.last, tokens.last))
            else:
                found.append(tokens)
        return found

    @cached_property
    def _order(self) -> dict[str, int]:
        return {doc_id: n for n, doc_id in enumerate(self.snapshot.live)}

    def characters(self, ranges: Sequence[TokenRange]) -> list[SpanRef]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        found = []
        for tokens in ranges:
            segment, rows = self._rows(tokens)
            start, end = int(segment.starts[rows.start]), int(segment.ends[rows.stop - 1])
            found.append(SpanRef(tokens.doc_id, start, end))
        return found

    def tokens(self, ranges: Sequence[TokenRange]) -> TokenBatch:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        if not ranges:
            return self._no_tokens()
        parts = [self._rows(tokens) for tokens in ranges]
        return TokenBatch(
            tuple(ranges),
            np.concatenate([segment.codes(rows) for segment, rows in parts]),
            np.concatenate([segment.activations[rows] for segment, rows in parts]),
            np.concatenate([segment.starts[rows] for segment, rows in parts]),
            np.concatenate([segment.ends[rows] for segment, rows in parts]),
        )

    def _rows(self, tokens: TokenRange) -> tuple[Segment, slice]:
        """Where the tokens of a range stand in the arrays of a segment."""
        segment, entry = self.snapshot.live[tokens.doc_id]
        if not 0 <= tokens.first < tokens.last <= entry.n_tokens:  # else a neighbour's
            raise IndexError(f"{tokens} is outside the document's {entry.n_tokens} tokens")
        first = entry.tokens[0]
        return segment, slice(first + tokens.first, first + tokens.last)

    def _no_tokens(self) -> TokenBatch:
        segments = list(self.snapshot.segments.values())
        shape = (0, *segments[0].ids.shape[1:]) if segments else (0, 1, 1)
        places = np.empty(0, dtype=np.uint32)
        return TokenBatch((), np.empty(shape, np.uint16), np.empty(shape, np.uint8), places, places)

    def sample_blocks(self, filter: Filter | None, n_blocks: int) -> TokenBatch:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        parts = self._allowed_blocks(filter)
        ends = np.cumsum([len(numbers) for _, _, numbers in parts])
        n = int(ends[-1]) if parts else 0
        wanted = np.linspace(0, n - 1, min(n_blocks, n)).astype(np.int64)
        blocks = []
        for place, part in zip(wanted, np.searchsorted(ends, wanted, side="right"), strict=True):
            _, first, numbers = parts[part]
            blocks.append(first + int(numbers[place - ends[part]]))  # counted from the end
        return self.tokens(self.block_ranges(blocks))

    def _allowed_blocks(self, filter: Filter | None) -> list[tuple[Segment, int, np.ndarray]]:
        """Segments, the number of each one's first block, and its blocks that are allowed."""
        if filter is None:
            return self._live_blocks
        allowed = self.search.allowed(filter)
        found = []
        for segment, first in self._first_blocks:
            if numbers := allowed.get(segment.name, ()):
                mask = np.zeros(len(segment.entries), dtype=bool)
                mask[list(numbers)] = True
                found.append((segment, first, np.flatnonzero(mask[segment.block_owner])))
        return found

    @cached_property
    def _live_blocks(self) -> list[tuple[Segment, int, np.ndarray]]:
        """As :meth:`_allowed_blocks`, of every document that is not deleted."""
        found = []
        records = self.snapshot.manifest.segments
        for (segment, first), record in zip(self._first_blocks, records, strict=True):
            mask = np.ones(len(segment.entries), dtype=bool)
            mask[list(record.deleted)] = False
            found.append((segment, first, np.flatnonzero(mask[segment.block_owner])))
        return found

    def scan_blocks(self, filter: Filter | None, n_tokens: int) -> Iterator[BlockCodes]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        for segment, first, numbers in self._allowed_blocks(filter):
            lengths = np.diff(segment.block_starts)[numbers]
            ends = np.cumsum(lengths)
            at = 0
            while at < len(numbers):
                before = int(ends[at - 1]) if at else 0
                stop = max(at + 1, int(np.searchsorted(ends, before + n_tokens, side="right")))
                part, size = numbers[at:stop], lengths[at:stop]
                begins = segment.block_starts[part]
                if part[-1] - part[0] + 1 == len(part):  # they lie together: nothing is copied
                    rows = slice(int(begins[0]), int(begins[-1] + size[-1]))
                    ids, activations = segment.ids[rows], segment.activations[rows]
                else:
                    n = np.cumsum(size)
                    scattered = np.repeat(begins - (n - size), size) + np.arange(n[-1])
                    ids = segment.ids.take(scattered, axis=0)
                    activations = segment.activations.take(scattered, axis=0)
                yield BlockCodes(segment.checked(ids), activations, size, first + part)
                at = stop

    def block_ranges(self, blocks: Sequence[int]) -> list[TokenRange]:
        """The tokens of blocks that :meth:`scan_blocks` numbered."""
        firsts = self._block_numbers
        found = []
        for block in blocks:
            segment, first = self._first_blocks[
                int(np.searchsorted(firsts, block, side="right")) - 1
            ]
            number = int(block) - first
            found.append(block_range(segment, segment.entries[segment.block_owner[number]], number))
        return found

    @cached_property
    def _block_numbers(self) -> np.ndarray:
        """The number of each segment's first block."""
        return np.array([first for _, first in self._first_blocks], dtype=np.int64)

    @cached_property
    def _first_blocks(self) -> list[tuple[Segment, int]]:
        """Segments in order, and the number of each one's first block in the whole."""
        found, at = [], 0
        for record in self.snapshot.manifest.segments:
            segment = self.snapshot.segments[record.name]
            found.append((segment, at))
            at += len(segment.block_owner)
        return found


class ViewSearch:
    """A view's blocks by words and by features, as ranges of tokens of documents."""

    def __init__(self, view: View) -> None:
        """Use :attr:`View.search`."""
        self._snapshot = view.snapshot
        self._blocks = view.candidates
        self._allowed: tuple[Any, Mapping[str, Sequence[int]]] | None = None

    @property
    def n_blocks(self) -> int:
        """Blocks in the index."""
        return self._blocks.n_blocks()

    def words(self, text: str, language: str | None = None) -> list[str]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        return self._blocks.words(text, language)

    def document_frequencies(self, words: Collection[str]) -> dict[str, int]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        return {word: self._blocks.document_frequency(word) for word in words}

    def search_words(self, words: Iterable[str], k: int, filter: Filter | None = None) -> list[Hit]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        allowed = None if filter is None else self.allowed(filter)
        return self._hits(self._blocks.search_words(words, k, allowed))

    def search_features(
        self, weights: FeatureWeights, k: int, filter: Filter | None = None
    ) -> list[Hit]:
        """See :class:`~s3_retriever.search.base.CandidateSearch`."""
        allowed = None if filter is None else self.allowed(filter)
        return self._hits(self._blocks.search_features(weights, k, allowed))

    def allowed(self, filter: Filter) -> Mapping[str, Sequence[int]]:
        """Numbers of the documents whose metadata pass, by segment name.

        Of the filter that was asked last it is kept: one question asks several times.
        """
        known, key = self._allowed, _distinct(filter)
        if known is not None and known[0] == key:
            return known[1]
        found = self._snapshot.matching(compile_filter(filter))
        if key is not None:
            self._allowed = (key, found)
        return found

    def _hits(self, found: Iterable[BlockHit]) -> list[Hit]:
        """The blocks of documents that are there: the search part may lag behind."""
        hits = []
        for segment_name, number, score in found:
            segment = self._snapshot.segments.get(segment_name)
            if segment is None or number >= len(segment.block_owner):
                continue
            entry = segment.entries[segment.block_owner[number]]
            live = self._snapshot.live.get(entry.id)
            if live is not None and live[0] is segment:
                hits.append(Hit(block_range(segment, entry, number), score))
        return hits


def block_range(segment: Segment, entry: Entry, block: int) -> TokenRange:
    """One block of a document, in the document's own count of tokens."""
    first, last = segment.block_rows(entry, block)
    return TokenRange(entry.id, first - entry.tokens[0], last - entry.tokens[0])


def _distinct(filter: Any) -> Any:
    """What is equal for two filters only if they mean the same; ``None``: of unknown values.

    Not the filter itself, in which 1 equals ``True`` and which may change after the question.
    """
    if isinstance(filter, Mapping):
        parts: list[Any] = [(_distinct(k), _distinct(v)) for k, v in filter.items()]
        known = all(None not in pair for pair in parts)
    elif isinstance(filter, (list, tuple)):
        parts = [_distinct(value) for value in filter]
        known = None not in parts
    else:
        return (type(filter), filter) if isinstance(filter, _PLAIN) else None
    return (type(filter).__name__, parts) if known else None


_PLAIN = (str, int, float, date, type(None))
