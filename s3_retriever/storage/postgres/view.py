"""The documents of an index in PostgreSQL as of one commit: a code store."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, LiteralString

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.search.filters import Filter
from s3_retriever.storage.base import BlockCodes
from s3_retriever.storage.postgres import records
from s3_retriever.storage.postgres.codec import document_key
from s3_retriever.storage.postgres.connection import Row
from s3_retriever.storage.postgres.faults import ForeignServerError
from s3_retriever.storage.postgres.filters import sql_filter
from s3_retriever.storage.postgres.records import Record, record_of
from s3_retriever.storage.postgres.search import PostgresSearch
from s3_retriever.storage.postgres.shards import parts_without
from s3_retriever.storage.postgres.state import THERE, State
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.types import (
    Document,
    EncodedDocument,
    Metadata,
    SpanRef,
    TextBounds,
    TokenBatch,
    TokenRange,
)

__all__ = ["Directory", "PostgresView"]

logger = logging.getLogger(__name__)

_AT_ONCE = 2048
"""Blocks, or documents, of one statement."""


@dataclass(frozen=True)
class Directory:
    """Documents in order of addition."""

    parts: np.ndarray
    """``(n,)`` int64."""
    numbers: np.ndarray
    """``(n,)`` int64, ascending."""
    n_tokens: np.ndarray
    """``(n,)`` int64."""
    ids: tuple[str, ...]

    @cached_property
    def n_blocks(self) -> np.ndarray:
        """``(n,)`` int64."""
        found: np.ndarray = -(-self.n_tokens // BLOCK_TOKENS)
        return found

    @cached_property
    def first_blocks(self) -> np.ndarray:
        """``(n + 1,)`` int64: blocks before each document."""
        return np.concatenate([[0], np.cumsum(self.n_blocks)])


class PostgresView:
    """One state of an index; any thread may ask it.

    A :class:`~s3_retriever.storage.base.CodeStore`; :attr:`search` is its
    :class:`~s3_retriever.search.base.CandidateSearch`.
    """

    def __init__(self, tables: Tables, state: State) -> None:
        """Nothing is read yet."""
        self.tables = tables
        self.state = state
        self.parts: Sequence[int] = tables.parts
        """Partitions that are asked: all, but for those that do not answer if that is allowed."""
        self._known: dict[str, int | None] = {}

    def ask(self, statement: LiteralString, *values: Any) -> Sequence[Row]:
        """Rows of the partitions.

        Args:
            statement: whose first placeholder takes the list of partitions.
            *values: of the others.

        Raises:
            ForeignServerError: a server does not answer, and partial results were not asked for.
            IndexStorageError: this one does not.
        """
        while True:
            parts = list(self.parts)
            try:
                return self.tables.query(statement, parts, *values)
            except ForeignServerError as e:
                if not self.tables.url.partial:
                    raise
                left = parts_without(self.tables.db, parts, e.server)
                if len(left) == len(parts):
                    raise
                logger.warning("%s; %d of %d partitions are asked", e, len(left), len(parts))
                self.parts = left

    @cached_property
    def search(self) -> PostgresSearch:
        """Looks up blocks."""
        return PostgresSearch(self)

    @property
    def n_documents(self) -> int:
        """Documents."""
        return self.state.n_documents

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return self.state.n_tokens

    @cached_property
    def df(self) -> np.ndarray:
        """``(n_hookpoints, n_latents)`` int64: tokens at which each latent is active.

        Counted by a look at all codes, when it is first asked for.
        """
        n_hookpoints, n_latents = self.tables.layout.n_hookpoints, self.tables.layout.n_latents
        found = np.zeros((n_hookpoints, n_latents), dtype=np.int64)
        for part in self.scan_blocks(None, _AT_ONCE * BLOCK_TOKENS):
            for hookpoint in range(n_hookpoints):
                ids = part.ids[:, hookpoint].ravel()
                found[hookpoint] += np.bincount(ids, minlength=n_latents)
        return found

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return isinstance(doc_id, str) and doc_id in self._found([doc_id])

    def document_ids(self, filter: Filter | None = None) -> list[str]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        return list(self.directory(filter).ids)

    def directory(self, filter: Filter | None = None) -> Directory:
        """Documents (that pass), in order of addition.

        Raises:
            InputError: an unknown operator.
        """
        if not filter:
            return self._directory
        condition = sql_filter(filter)
        # the condition is put together from constants; what a filter says is in the values
        columns = "part, number, n_tokens, id" + (", metadata::text" if condition.decide else "")
        rows = self.ask(
            f"SELECT {columns} FROM documents WHERE part = ANY(%s) AND {THERE} "
            f"AND ({condition.sql}) ORDER BY number",
            *self.state.there,
            *condition.values,
        )
        if condition.decide:
            decide = condition.decide
            rows = [row[:4] for row in rows if decide(records.metadata_of(row[4]))]
        return _directory_of(rows)

    @cached_property
    def _directory(self) -> Directory:
        return _directory_of(
            self.ask(
                "SELECT part, number, n_tokens, id FROM documents WHERE part = ANY(%s) AND "
                f"{THERE} ORDER BY number",
                *self.state.there,
            )
        )

    def document(self, doc_id: str) -> Document | None:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        record = self._found([doc_id]).get(doc_id)
        if record is None:
            return None
        return Document(record.id, record.text, deepcopy(dict(record.metadata)))

    def metadata(self, doc_id: str) -> Metadata:
        """A document's metadata; not to be changed."""
        return self.record(doc_id).metadata

    def text(self, ref: SpanRef) -> str:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        return self.record(ref.doc_id).text[ref.start : ref.end]

    def bounds(self, doc_id: str) -> TextBounds:
        """Where a document's sentences and paragraphs stand."""
        return self.record(doc_id).bounds

    def n_characters(self, doc_id: str) -> int:
        """Length of a document's text."""
        return len(self.record(doc_id).text)

    def count_tokens(self, ref: SpanRef) -> int:
        """Tokens that begin in a span, as they were scanned."""
        starts, _ = self.record(ref.doc_id).offsets
        return bisect_left(starts, ref.end) - bisect_left(starts, ref.start)

    def whole(self, filter: Filter | None = None, *, most_blocks: int) -> list[TokenRange] | None:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        if not filter and self.state.n_blocks > most_blocks:
            return None
        found = self.directory(filter)
        if found.first_blocks[-1] > most_blocks:
            return None
        sizes = found.n_tokens.tolist()
        return [TokenRange(doc_id, 0, n) for doc_id, n in zip(found.ids, sizes, strict=True)]

    def whole_document(self, doc_id: str) -> TokenRange:
        """All tokens of a document."""
        return TokenRange(doc_id, 0, self.record(doc_id).n_tokens)

    def merged(self, ranges: Iterable[TokenRange]) -> list[TokenRange]:
        """Ranges in the order of addition; those that meet or overlap as one."""
        distinct = set(ranges)
        order = self._looked_up({tokens.doc_id for tokens in distinct})
        found: list[TokenRange] = []
        for tokens in sorted(distinct, key=lambda r: (order[r.doc_id].number, r.first)):
            last = found[-1] if found else None
            if last and last.doc_id == tokens.doc_id and tokens.first <= last.last:
                found[-1] = TokenRange(last.doc_id, last.first, max(last.last, tokens.last))
            else:
                found.append(tokens)
        return found

    def characters(self, ranges: Sequence[TokenRange]) -> list[SpanRef]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        found = []
        known = self._looked_up({tokens.doc_id for tokens in ranges})
        for tokens in ranges:
            starts, ends = _checked(tokens, known[tokens.doc_id]).offsets
            start, end = int(starts[tokens.first]), int(ends[tokens.last - 1])
            found.append(SpanRef(tokens.doc_id, start, end))
        return found

    def tokens(self, ranges: Sequence[TokenRange]) -> TokenBatch:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        known = self._looked_up({tokens.doc_id for tokens in ranges})
        places: dict[int, None] = {}
        for tokens in ranges:
            number = _checked(tokens, known[tokens.doc_id]).number
            blocks = range(tokens.first // BLOCK_TOKENS, -(-tokens.last // BLOCK_TOKENS))
            places.update(dict.fromkeys(number + block for block in blocks))
        codes = self._codes(list(places))
        shape = (0, *self.tables.code_shape)
        ids, activations = [np.empty(shape, self.tables.ids_dtype)], [np.empty(shape, np.uint8)]
        starts, ends = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for tokens in ranges:
            record = known[tokens.doc_id]
            first = tokens.first // BLOCK_TOKENS
            blocks = range(first, -(-tokens.last // BLOCK_TOKENS))
            rows = slice(tokens.first - first * BLOCK_TOKENS, tokens.last - first * BLOCK_TOKENS)
            parts = [codes[record.number + block] for block in blocks]
            ids.append(np.concatenate([part[0] for part in parts])[rows])
            activations.append(np.concatenate([part[1] for part in parts])[rows])
            for into, array in zip((starts, ends), record.offsets, strict=True):
                into.append(array[tokens.first : tokens.last])
        return TokenBatch(
            tuple(ranges),
            np.concatenate(ids),
            np.concatenate(activations),
            np.concatenate(starts),
            np.concatenate(ends),
        )

    def sample_blocks(self, filter: Filter | None, n_blocks: int) -> TokenBatch:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        found = self.directory(filter)
        n = int(found.first_blocks[-1])
        wanted = np.linspace(0, n - 1, min(n_blocks, n)).astype(np.int64)
        return self.tokens(_ranges(found, wanted))

    def scan_blocks(self, filter: Filter | None, n_tokens: int) -> Iterator[BlockCodes]:
        """See :class:`~s3_retriever.storage.base.CodeStore`."""
        found = self.directory(filter)
        firsts = self._directory.first_blocks[
            np.searchsorted(self._directory.numbers, found.numbers)
        ]
        inside = np.arange(found.first_blocks[-1]) - np.repeat(
            found.first_blocks[:-1], found.n_blocks
        )
        places = np.repeat(found.numbers, found.n_blocks) + inside
        blocks = np.repeat(firsts, found.n_blocks) + inside
        sizes = np.minimum(
            np.repeat(found.n_tokens, found.n_blocks) - BLOCK_TOKENS * inside, BLOCK_TOKENS
        )
        for begin in range(0, len(places), _AT_ONCE):
            fetched = slice(begin, begin + _AT_ONCE)
            codes = self._codes(places[fetched].tolist())
            for part in _pieces(sizes[fetched], n_tokens):
                rows = slice(begin + part.start, begin + part.stop)
                pairs = [codes[place] for place in places[rows].tolist()]
                yield BlockCodes(
                    np.concatenate([ids for ids, _ in pairs]),
                    np.concatenate([activations for _, activations in pairs]),
                    sizes[rows],
                    blocks[rows],
                )

    def block_ranges(self, blocks: Sequence[int]) -> list[TokenRange]:
        """The tokens of blocks that :meth:`scan_blocks` numbered."""
        return _ranges(self._directory, np.asarray(blocks, dtype=np.int64))

    @property
    def is_partial(self) -> bool:
        """Whether partitions are left out, because their servers do not answer."""
        return len(self.parts) < self.tables.layout.partitions

    def encoded(self, ids: Sequence[str]) -> list[EncodedDocument]:
        """Documents with their codes, as the scan made them.

        Raises:
            KeyError: one of them is not there.
            IndexStorageError: codes or texts were damaged since.
        """
        known = self._looked_up(ids)
        batch = self.tokens([self.whole_document(doc_id) for doc_id in ids])
        return [
            EncodedDocument(
                document=Document(tokens.doc_id, record.text, record.metadata),
                starts=batch.starts[rows],
                ends=batch.ends[rows],
                ids=batch.ids[rows],
                activations=batch.activations[rows],
                bounds=record.bounds,
            )
            for tokens, rows in batch.parts()
            if (record := known[tokens.doc_id])
        ]

    def hashes(self, ids: Sequence[str]) -> dict[str, bytes]:
        """SHA-256 of the texts of those of some documents that are there."""
        found: dict[str, bytes] = {}
        for keys in _slices([document_key(doc_id) for doc_id in ids]):
            rows = self.ask(
                "SELECT id, hash FROM documents WHERE part = ANY(%s) "
                f"AND key = ANY(%s::bigint[]) AND {THERE}",
                keys,
                *self.state.there,
            )
            found |= {doc_id: bytes(digest) for doc_id, digest in rows}
        return found

    def all_metadata(self) -> Iterator[tuple[str, Metadata]]:
        """Every document's id and metadata, in order of addition."""
        rows = self.ask(
            f"SELECT id, metadata::text FROM documents WHERE part = ANY(%s) AND {THERE} "
            "ORDER BY number",
            *self.state.there,
        )
        for doc_id, metadata in rows:
            yield doc_id, records.metadata_of(metadata)

    def record(self, doc_id: str) -> Record:
        """A document without its codes.

        Raises:
            KeyError: there is none of this id.
        """
        number = self._known.get(doc_id)  # a question asks for the same few again and again
        record = self.tables.records.get(number) if number is not None else None
        return record or self._looked_up([doc_id])[doc_id]

    def _looked_up(self, ids: Iterable[str]) -> dict[str, Record]:
        wanted = list(ids)
        found = self._found(wanted)
        for doc_id in wanted:
            if doc_id not in found:
                raise KeyError(doc_id)
        return found

    def _found(self, ids: Sequence[str]) -> dict[str, Record]:
        """Those of some documents that are there."""
        found: dict[str, Record] = {}
        unknown: dict[int, str] = {}
        for doc_id in ids:
            number = self._known.get(doc_id)
            record = self.tables.records.get(number) if number is not None else None
            if record is not None:
                found[doc_id] = record
            elif number is not None or doc_id not in self._known:
                unknown[document_key(doc_id)] = doc_id
        for keys in _slices(list(unknown)):
            rows = self.ask(
                f"SELECT {records.COLUMNS} FROM documents WHERE part = ANY(%s) "
                f"AND key = ANY(%s::bigint[]) AND {THERE}",
                keys,
                *self.state.there,
            )
            there = self._kept(rows)
            for key in keys:
                doc_id = unknown[key]
                if doc_id in there:
                    found[doc_id] = there[doc_id]
                else:
                    self._known[doc_id] = None
        return found

    def records_of(self, numbers: Sequence[int]) -> dict[int, Record]:
        """Documents by their numbers; those that are not there any more are left out."""
        found: dict[int, Record] = {}
        unknown = []
        for number in numbers:
            record = self.tables.records.get(number)
            if record is None:
                unknown.append(number)
            else:
                found[number] = record
                self._known[record.id] = number
        for some in _slices(unknown):
            rows = self.ask(
                f"SELECT {records.COLUMNS} FROM documents WHERE part = ANY(%s) "
                "AND number = ANY(%s::bigint[])",
                some,
            )
            found |= {record.number: record for record in self._kept(rows).values()}
        return found

    def _kept(self, rows: Iterable[Row]) -> dict[str, Record]:
        found = {record.id: record for record in map(record_of, rows)}
        self.tables.records.keep(found.values())
        self._known.update((record.id, record.number) for record in found.values())
        return found

    def _codes(self, places: Sequence[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Latents and activations of blocks, by place.

        Raises:
            IndexStorageError: some are missing: this state was given up long ago, or damaged.
        """
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for some in _slices(places):
            rows = self.ask(
                "SELECT place, codes FROM blocks WHERE part = ANY(%s) "
                "AND place = ANY(%s::bigint[])",
                some,
            )
            found |= {place: self.tables.decoded(codes) for place, codes in rows}
        if missing := len(places) - len(found):
            raise IndexStorageError(
                f"{missing} blocks of index {brief(self.tables.url)} are missing: they were "
                "deleted and "
                "compacted while this question went on; ask again, or run: s3-retriever doctor"
            )
        return found


def _directory_of(rows: Sequence[Row]) -> Directory:
    parts, numbers, sizes, ids = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Directory(
        np.array(parts, np.int64), np.array(numbers, np.int64), np.array(sizes, np.int64), ids
    )


def _ranges(directory: Directory, blocks: np.ndarray) -> list[TokenRange]:
    """The tokens of blocks, by their numbers in a directory."""
    owners = np.searchsorted(directory.first_blocks, blocks, side="right") - 1
    found = []
    for owner, block in zip(owners.tolist(), blocks.tolist(), strict=True):
        first = (block - int(directory.first_blocks[owner])) * BLOCK_TOKENS
        last = min(first + BLOCK_TOKENS, int(directory.n_tokens[owner]))
        found.append(TokenRange(directory.ids[owner], first, last))
    return found


def _checked(tokens: TokenRange, record: Record) -> Record:
    if not 0 <= tokens.first < tokens.last <= record.n_tokens:
        raise IndexError(f"{tokens} is outside the document's {record.n_tokens} tokens")
    return record


def _pieces(sizes: np.ndarray, n_tokens: int) -> Iterator[slice]:
    """Runs of blocks of at most so many tokens, but of one block at least."""
    ends = np.cumsum(sizes)
    at = 0
    while at < len(sizes):
        before = int(ends[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(ends, before + n_tokens, side="right")))
        yield slice(at, stop)
        at = stop


def _slices(items: Sequence[int]) -> Iterator[list[int]]:
    for begin in range(0, len(items), _AT_ONCE):
        yield list(items[begin : begin + _AT_ONCE])
