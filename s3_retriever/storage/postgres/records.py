"""Documents as the tables hold them; one of a number never changes, so some are kept in memory."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.forking import ForkLock
from s3_retriever.quoting import quoted
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.storage.postgres.codec import unpacked
from s3_retriever.storage.postgres.connection import Row
from s3_retriever.types import Metadata, TextBounds

__all__ = ["COLUMNS", "Record", "RecordCache", "metadata_of", "record_of"]

COLUMNS = "part, number, id, hash, digest, metadata::text, n_tokens, text, tokens, bounds"
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True)
class Record:
    """A document without its codes."""

    part: int
    number: int
    """Of its first block; those of other blocks follow."""
    id: str
    hash: bytes
    """SHA-256 of the text."""
    digest: str
    """Of the codes and offsets."""
    metadata: Metadata
    n_tokens: int
    text: str
    tokens: bytes
    packed_bounds: bytes

    @property
    def n_blocks(self) -> int:
        """Blocks of the document."""
        return -(-self.n_tokens // BLOCK_TOKENS)

    @cached_property
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """``(n_tokens,)`` uint32 each: where tokens start and end."""
        both = unpacked(self.tokens)
        return both[0::2], both[1::2]

    @cached_property
    def bounds(self) -> TextBounds:
        """Where sentences and paragraphs stand."""
        n = int.from_bytes(self.packed_bounds[:4], "little")
        pairs = unpacked(self.packed_bounds[4:]).reshape(-1, 2)
        return TextBounds(pairs[:n], pairs[n:])

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about."""
        return 500 + 2 * len(self.text) + 5 * len(self.tokens) + 3 * len(self.packed_bounds)


def record_of(row: Row) -> Record:
    """From a row of :data:`COLUMNS`.

    Raises:
        IndexStorageError: the text is not the one that was added.
    """
    part, number, doc_id, digest, codes, metadata, n_tokens, text, tokens, bounds = row
    if hashlib.sha256(text.encode("utf-8")).digest() != bytes(digest):
        raise IndexStorageError(
            f"the text of document {quoted(doc_id)} is damaged; run: s3-retriever doctor"
        )
    return Record(
        part,
        number,
        doc_id,
        bytes(digest),
        codes,
        metadata_of(metadata),
        n_tokens,
        text,
        bytes(tokens),
        bytes(bounds),
    )


def metadata_of(column: str) -> Metadata:
    """Metadata from their column."""
    found: Metadata = json.loads(column)
    return found


class RecordCache:
    """The documents that were asked for last, by number; any thread may use it."""

    def __init__(self, most_bytes: int = _KEPT_BYTES) -> None:
        """Empty."""
        self._most_bytes = most_bytes
        self._kept: OrderedDict[int, Record] = OrderedDict()
        self._n_bytes = 0
        self._lock = ForkLock()

    def get(self, number: int) -> Record | None:
        """A document, if it is kept."""
        with self._lock:
            record = self._kept.get(number)
            if record is not None:
                self._kept.move_to_end(number)
            return record

    def keep(self, records: Iterable[Record]) -> None:
        """Keep documents, and forget those that nobody asked for lately."""
        with self._lock:
            for record in records:
                if record.number not in self._kept:
                    self._kept[record.number] = record
                    self._n_bytes += record.nbytes
            while self._n_bytes > self._most_bytes and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._n_bytes -= gone.nbytes
