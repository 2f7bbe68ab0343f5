"""Coded documents as the rows of a commit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.search.analyzers import language_term, stems
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.storage.postgres.bm25 import length_codes
from s3_retriever.storage.postgres.codec import document_key, json_without_nul, packed, word_bits
from s3_retriever.storage.postgres.connection import Row, Session
from s3_retriever.storage.postgres.postings import (
    FEATURES,
    WORDS,
    Postings,
    feature_postings,
    posting_rows,
    word_postings,
)
from s3_retriever.storage.postgres.state import NEVER
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.storage.segments import Segment
from s3_retriever.types import EncodedDocument

__all__ = ["PLACES", "BatchRows", "batch_rows", "copy_rows", "document_rows"]

PLACES = 1 << 24
"""Blocks of a commit, at most: the place of a block is the commit's number times this and more."""

_TYPES: Mapping[str, Sequence[str]] = {
    "documents": (
        "int2",
        "int8",
        "int8",
        "text",
        "int8",
        "int8",
        "bytea",
        "text",
        "json",
        "jsonb",
        "int4",
        "text",
        "bytea",
        "bytea",
    ),
    "blocks": ("int2", "int8", "bytea"),
    "batches": (
        "int2",
        "int8",
        "int8",
        "int4",
        "int8",
        "int8",
        "int2",
        "int2",
        "text[]",
        "bytea",
        "bytea",
        "bytea",
    ),
    "postings": ("int2", "int8", "int2", "int8", "bytea", "bytea", "bytea"),
}


@dataclass
class BatchRows:
    """Rows of each table."""

    documents: list[Row] = field(default_factory=list)
    blocks: list[Row] = field(default_factory=list)
    batches: list[Row] = field(default_factory=list)
    postings: list[Row] = field(default_factory=list)


def document_rows(tables: Tables, commit: int, coded: Sequence[EncodedDocument]) -> BatchRows:
    """All rows of documents that a commit adds, in this order.

    Raises:
        IndexStorageError: they are more than a commit can hold.
    """
    found = BatchRows()
    by_part: dict[int, list[tuple[int, EncodedDocument]]] = {}
    place = commit * PLACES
    for item in coded:
        part = tables.part_of_id(item.document.id)
        by_part.setdefault(part, []).append((place, item))
        place += max(1, -(-len(item) // BLOCK_TOKENS))
    if place > (commit + 1) * PLACES:
        raise IndexStorageError(f"a commit holds {PLACES} blocks at most; add fewer at once")
    for part, items in sorted(by_part.items()):
        _add_part(tables, found, commit, part, items)
    return found


def _add_part(
    tables: Tables,
    found: BatchRows,
    commit: int,
    part: int,
    items: Sequence[tuple[int, EncodedDocument]],
) -> None:
    coded = [item for _, item in items]
    numbers = np.array([number for number, _ in items], np.int64)
    segment = Segment.build("commit", coded, tables.layout.n_latents)
    for (number, item), entry in zip(items, segment.entries, strict=True):
        assert entry.codes is not None
        found.documents.append(_document_row(part, commit, number, item, entry.codes))
    words, languages, lengths = [], set(), []
    for block in segment.blocks():
        entry = segment.entries[block.document]
        rows = slice(*segment.block_rows(entry, block.number))
        place = int(numbers[block.document]) + block.number - entry.first_block
        codes = tables.codes(segment.ids[rows], segment.activations[rows])
        found.blocks.append((part, place, codes))
        words.append(stems(block.text, block.language))
        if block.language != "en":
            words[-1].append(language_term(block.language))
            languages.add(block.language)
        lengths.append((len(words[-1]), block.ids.size))
    kinds = (
        word_postings(words),
        feature_postings([item.ids for item in coded], tables.layout.n_latents, BLOCK_TOKENS),
    )
    sizes = np.array([entry.n_blocks for entry in segment.entries], np.int64)
    counts = np.array(lengths, np.int64).reshape(-1, 2).T
    batch, postings = batch_rows(
        tables, part, commit, numbers, sizes, length_codes(counts), counts.sum(1), languages, kinds
    )
    found.batches.append(batch)
    found.postings += postings


def batch_rows(
    tables: Tables,
    part: int,
    commit: int,
    numbers: np.ndarray,
    sizes: np.ndarray,
    lengths: np.ndarray,
    n_terms: np.ndarray,
    languages: set[str],
    kinds: tuple[Postings, Postings],
) -> tuple[Row, list[Row]]:
    """The row of a batch and those of its postings.

    Args:
        tables: of the index.
        part: of the batch.
        commit: that makes it.
        numbers: ``(n_documents,)``.
        sizes: ``(n_documents,)`` blocks of each.
        lengths: ``(2, n_blocks)`` codes of the lengths in words and in features.
        n_terms: ``(2,)`` words and features of all blocks.
        languages: of the documents, but for English.
        kinds: postings of words and of features.
    """
    n_blocks = int(sizes.sum())
    layout = tables.layout
    feature_bits = (layout.n_hookpoints * layout.n_latents - 1).bit_length()
    levels, postings = [], []
    for kind, bits, found in zip((WORDS, FEATURES), (word_bits, feature_bits), kinds, strict=True):
        level, rows = posting_rows(found, kind, bits, n_blocks)
        levels.append(level)
        postings += [(part, commit, kind.number, *row) for row in rows]
    batch = (
        part,
        commit,
        NEVER,
        n_blocks,
        int(n_terms[0]),
        int(n_terms[1]),
        levels[0],
        levels[1],
        sorted(languages),
        numbers.astype("<i8").tobytes(),
        sizes.astype("<u4").tobytes(),
        lengths.astype(np.uint8).tobytes(),
    )
    return batch, postings


def _document_row(part: int, commit: int, number: int, item: EncodedDocument, digest: str) -> Row:
    document, bounds = item.document, item.bounds
    n_sentences = len(bounds.sentences).to_bytes(4, "little")
    pairs = np.concatenate([bounds.sentences.reshape(-1, 2), bounds.paragraphs.reshape(-1, 2)])
    metadata: dict[str, Any] = dict(document.metadata)
    return (
        part,
        number,
        document_key(document.id),
        document.id,
        commit,
        NEVER,
        hashlib.sha256(document.text.encode("utf-8")).digest(),
        digest,
        metadata,
        json_without_nul(metadata),
        len(item),
        document.text,
        packed(np.stack([item.starts, item.ends], axis=1)),
        n_sentences + packed(pairs),
    )


def copy_rows(session: Session, rows: BatchRows) -> None:
    """Write rows; they are there when the transaction commits."""
    for table, types in _TYPES.items():
        values: Sequence[Row] = getattr(rows, table)
        if values:
            with session.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in values:
                    copy.write_row(row)
