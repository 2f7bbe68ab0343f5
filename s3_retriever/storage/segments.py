"""One immutable file of coded documents: the forward store's unit.

A safetensors file: ``ids``, ``activations``, ``starts``, ``ends`` (one row a token), ``df`` (one
count a latent), ``text`` (UTF-8 of all documents) and ``documents`` (JSON, the listing). Opened by
mapping it into memory, so a large index costs no resident memory until it is asked. The listing
stands once more in a file beside it, so that damage to one of the two leaves every document a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors.numpy import save

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.search.base import BLOCK_TOKENS, Block
from s3_retriever.search.languages import document_language
from s3_retriever.storage.files import write_durably
from s3_retriever.storage.places import UnreadableError
from s3_retriever.storage.segment_format import (
    UNREADABLE,
    Entry,
    check_arrays,
    codes_digest,
    map_arrays,
    read_listing,
    text_hash,
    write_listing,
)
from s3_retriever.text import find_bounds, language_of, long_words, whole_pieces, whole_words
from s3_retriever.types import Document, EncodedDocument, TextBounds

__all__ = ["Segment", "relabelled"]

_REMEMBERED = 256
"""Documents of older files whose bounds are kept once they are found."""


class Segment:
    """Coded documents in memory or mapped from a file; same arrays either way."""

    def __init__(self, name: str, arrays: Mapping[str, np.ndarray], entries: Sequence[Entry]):
        """Take the arrays as they are; use :meth:`build` or :meth:`open`."""
        self.name = name
        self.ids = arrays["ids"]
        self.activations = arrays["activations"]
        self.starts = arrays["starts"]
        self.ends = arrays["ends"]
        self.df = arrays["df"]
        self._text = arrays["text"]
        self._sentences = arrays.get("sentences")
        self._paragraphs = arrays.get("paragraphs")
        self._found: dict[str, TextBounds] = {}
        self.entries = tuple(entries)
        self._sound: set[tuple[int, int]] = set()
        self._decoded: tuple[Entry, str] | None = None

    @classmethod
    def build(cls, name: str, coded: Sequence[EncodedDocument], n_latents: int) -> Segment:
        """Join coded documents into one segment in memory."""
        entries = []
        texts = []
        token = byte = block = sentence = paragraph = 0
        for item in coded:
            text = item.document.text.encode("utf-8")
            bounds = item.bounds
            entry = Entry(
                id=item.document.id,
                tokens=(token, token + len(item)),
                text=(byte, byte + len(text)),
                first_block=block,
                hash=text_hash(item.document.text),
                metadata=dict(item.document.metadata),
                codes=codes_digest(
                    item.ids,
                    item.activations,
                    item.starts,
                    item.ends,
                    bounds.sentences,
                    bounds.paragraphs,
                ),
                sentences=(sentence, sentence + len(bounds.sentences)),
                paragraphs=(paragraph, paragraph + len(bounds.paragraphs)),
            )
            sentence += len(bounds.sentences)
            paragraph += len(bounds.paragraphs)
            entries.append(entry)
            texts.append(text)
            token, byte, block = entry.tokens[1], entry.text[1], block + entry.n_blocks
        ids = np.concatenate([item.ids for item in coded])
        arrays = {
            "ids": ids,
            "activations": np.concatenate([item.activations for item in coded]),
            "starts": np.concatenate([item.starts for item in coded]),
            "ends": np.concatenate([item.ends for item in coded]),
            "df": _document_frequencies(ids, n_latents),
            "text": np.frombuffer(b"".join(texts), dtype=np.uint8),
            "sentences": np.concatenate([item.bounds.sentences for item in coded]),
            "paragraphs": np.concatenate([item.bounds.paragraphs for item in coded]),
        }
        return cls(name, arrays, entries)

    def listing(self) -> bytes:
        """The documents as JSON: what the file and the one beside it hold."""
        return write_listing(self.entries)

    def content(self) -> bytes:
        """The segment as a file holds it."""
        tensors = {
            "ids": self.ids,
            "activations": self.activations,
            "starts": self.starts,
            "ends": self.ends,
            "df": self.df,
            "text": self._text,
            "documents": np.frombuffer(self.listing(), dtype=np.uint8),
        }
        if self._sentences is not None and self._paragraphs is not None:
            tensors |= {"sentences": self._sentences, "paragraphs": self._paragraphs}
        return save({name: np.ascontiguousarray(t) for name, t in tensors.items()})

    def write(self, path: Path) -> tuple[str, str]:
        """Write the segment durably; returns the SHA-256 of the file and of its listing.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        content = self.content()
        write_durably(path, content)
        return hashlib.sha256(content).hexdigest(), hashlib.sha256(self.listing()).hexdigest()

    @classmethod
    def open(
        cls, path: Path, listing_sha256: str | None = None, *, listing: bytes | None = None
    ) -> Segment:
        """Map a segment file.

        Args:
            path: the file.
            listing_sha256: what its listing must hash to; ``None`` is not known.
            listing: to be taken for the file's own, which is damaged.

        Raises:
            IndexStorageError: the file is missing, truncated, changed, or not a segment.
            UnreadableError: the system refuses to read it, which is no damage.
        """
        try:
            with path.open("rb") as file:
                return cls.map(file, path, listing_sha256, listing=listing)
        except FileNotFoundError as e:
            raise IndexStorageError(
                f"segment {brief(path)} is missing; run: s3-retriever doctor"
            ) from e
        except OSError as e:
            raise UnreadableError(f"segment {brief(path)} cannot be read: {why(e)}") from e

    @classmethod
    def map(
        cls,
        file: BinaryIO,
        path: Path,
        listing_sha256: str | None = None,
        *,
        listing: bytes | None = None,
    ) -> Segment:
        """As :meth:`open`, of a file that is open and may be closed afterwards.

        Raises:
            OSError: the system refuses to read it.
            IndexStorageError: it is truncated, changed, or not a segment.
        """
        try:
            arrays = map_arrays(file)
            listing = bytes(arrays["documents"]) if listing is None else listing
            if listing_sha256 not in (None, hashlib.sha256(listing).hexdigest()):
                raise ValueError("its listing of documents was changed")
            entries = read_listing(listing)
            check_arrays(arrays, entries)
        except UNREADABLE as e:
            raise IndexStorageError(
                f"segment {brief(path)} is damaged ({why(e)}); run: s3-retriever doctor"
            ) from e
        return cls(path.stem, arrays, entries)

    @property
    def n_blocks(self) -> int:
        """Blocks of all documents."""
        return self.entries[-1].first_block + self.entries[-1].n_blocks if self.entries else 0

    @cached_property
    def ordinals(self) -> dict[str, int]:
        """Number of each document by id."""
        return {entry.id: i for i, entry in enumerate(self.entries)}

    @cached_property
    def block_owner(self) -> np.ndarray:
        """``(n_blocks,)``: the number of the document that each block belongs to."""
        return np.repeat(np.arange(len(self.entries)), [e.n_blocks for e in self.entries])

    @cached_property
    def block_starts(self) -> np.ndarray:
        """``(n_blocks + 1,)``: the first row of each block, and one past the last row."""
        lengths = np.full(len(self.block_owner), BLOCK_TOKENS)
        for entry in self.entries:
            if rest := entry.n_tokens % BLOCK_TOKENS:
                lengths[entry.first_block + entry.n_blocks - 1] = rest
        return np.concatenate([[0], np.cumsum(lengths)])

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""
        return len(self.starts)

    def text(self, entry: Entry) -> str:
        """The document's text, exactly as it was added.

        Raises:
            IndexStorageError: it is not: the file was damaged since.
        """
        kept = self._decoded  # one question looks at the same long document many times
        if kept is None or kept[0] is not entry:
            raw = bytes(self._text[entry.text[0] : entry.text[1]])
            if entry.text not in self._sound:  # the first time, in every process
                if hashlib.sha256(raw).hexdigest() != entry.hash:
                    raise IndexStorageError(
                        f"the text of document {quoted(entry.id)} in segment {brief(self.name)} "
                        "is damaged; run: s3-retriever doctor"
                    )
                self._sound.add(entry.text)
            try:
                kept = self._decoded = (entry, raw.decode("utf-8"))
            except UnicodeDecodeError as e:  # a digest that fits says who made it, not what it is
                raise IndexStorageError(
                    f"the text of document {quoted(entry.id)} in segment {brief(self.name)} is "
                    "no UTF-8"
                ) from e
        return kept[1]

    def codes_digest(self, entry: Entry) -> str:
        """Digest of the document's codes and offsets as they are in the file now."""
        rows = slice(*entry.tokens)
        arrays = [self.ids[rows], self.activations[rows], self.starts[rows], self.ends[rows]]
        if self.has_bounds:
            bounds = self.bounds(entry)
            arrays += [bounds.sentences, bounds.paragraphs]
        return codes_digest(*arrays)

    def suits(self, card: ProfileCard) -> bool:
        """Whether the arrays have the profile's sizes."""
        return self.ids.shape[1:] == (len(card.hookpoints), card.k) and self.df.shape == (
            len(card.hookpoints),
            card.n_latents,
        )

    def codes(self, rows: slice) -> np.ndarray:
        """The latents ``(n, n_hookpoints, k)`` of some rows.

        Raises:
            IndexStorageError: one of them does not exist: the file was damaged since.
        """
        return self.checked(self.ids[rows])

    def checked(self, ids: np.ndarray) -> np.ndarray:
        """Latents of the file, if all of them exist.

        Raises:
            IndexStorageError: one does not: the file was damaged since.
        """
        if int(ids.max(initial=0)) >= self.df.shape[1]:  # what scores them would fail, or worse
            raise IndexStorageError(
                f"the codes of segment {brief(self.name)} are damaged; run: s3-retriever doctor"
            )
        return ids

    def fits(self, entry: Entry, n_latents: int) -> bool:
        """Whether a document's codes name latents that exist and its offsets lie in its text."""
        rows = slice(*entry.tokens)
        ids, starts, ends = self.ids[rows], self.starts[rows], self.ends[rows]
        if not len(starts):
            return True
        length = len(self.text(entry))
        inside = bool((starts <= ends).all()) and int(ends.max()) <= length
        bounds = self.bounds(entry)
        inside &= all(_in_order(b, length) for b in (bounds.sentences, bounds.paragraphs))
        return inside and int(ids.max(initial=0)) < n_latents

    def blocks(self, without: Collection[int] = ()) -> Iterator[Block]:
        """What a search engine indexes, but not of the documents numbered ``without``.

        Raises:
            IndexStorageError: a text was damaged.
        """
        for number, entry in enumerate(self.entries):
            if number in without:
                continue
            text = self.text(entry)
            language = document_language(entry.metadata, text)
            data = long_words(text)
            for block in range(entry.first_block, entry.first_block + entry.n_blocks):
                first, last = self.block_rows(entry, block)
                start, end = whole_words(text, int(self.starts[first]), int(self.ends[last - 1]))
                start, end = whole_pieces(data, start, end)
                codes = self.codes(slice(first, last))
                yield Block(self.name, number, block, text[start:end], codes, language)

    @staticmethod
    def block_rows(entry: Entry, block: int) -> tuple[int, int]:
        """Rows of one block of a document in the token arrays."""
        first = entry.tokens[0] + (block - entry.first_block) * BLOCK_TOKENS
        return first, min(first + BLOCK_TOKENS, entry.tokens[1])

    def bounds(self, entry: Entry) -> TextBounds:
        """Where the document's sentences and paragraphs stand.

        They are stored since schema version 3; of older files they are found in the text.
        """
        if self._sentences is not None and self._paragraphs is not None:
            assert entry.sentences is not None
            assert entry.paragraphs is not None
            return TextBounds(
                self._sentences[slice(*entry.sentences)], self._paragraphs[slice(*entry.paragraphs)]
            )
        if entry.id not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[entry.id] = find_bounds(self.text(entry), language_of(entry.metadata))
        return self._found[entry.id]

    @property
    def bounds_nbytes(self) -> int:
        """Bytes of the stored bounds."""
        stored = (self._sentences, self._paragraphs)
        return sum(array.nbytes for array in stored if array is not None)

    @property
    def has_bounds(self) -> bool:
        """Whether bounds of sentences are stored: since schema version 3."""
        return self._sentences is not None

    def encoded(self, entry: Entry) -> EncodedDocument:
        """The document with its codes, as the scan made it: what may be written anew.

        Raises:
            IndexStorageError: it is not: written anew, the damage would be there for good.
        """
        if entry.codes is not None and self.codes_digest(entry) != entry.codes:
            raise IndexStorageError(
                f"the codes of document {quoted(entry.id)} in segment {brief(self.name)} are "
                "damaged; run: s3-retriever doctor"
            )
        rows = slice(*entry.tokens)
        return EncodedDocument(
            document=Document(entry.id, self.text(entry), entry.metadata),
            starts=self.starts[rows],
            ends=self.ends[rows],
            ids=self.ids[rows],
            activations=self.activations[rows],
            bounds=self.bounds(entry),
        )


def relabelled(encoded: EncodedDocument, document: Document) -> EncodedDocument:
    """The same text with other metadata; where they name another language, with other sentences.

    Args:
        encoded: as it was.
        document: of the same id and text.
    """
    language = language_of(document.metadata)
    bounds = encoded.bounds
    if language != language_of(encoded.document.metadata):
        bounds = find_bounds(document.text, language)
    return replace(encoded, document=document, bounds=bounds)


def _document_frequencies(ids: np.ndarray, n_latents: int) -> np.ndarray:
    """``(n_hookpoints, n_latents)`` uint32: tokens at which each latent is active."""
    return np.stack(
        [np.bincount(ids[:, h].ravel(), minlength=n_latents) for h in range(ids.shape[1])]
    ).astype(np.uint32)


def _in_order(bounds: np.ndarray, length: int) -> bool:
    """Whether ranges ascend, hold something and lie in a text."""
    flat = bounds.astype(np.int64).ravel()
    ascending = bool((flat[1:] >= flat[:-1]).all()) and bool((bounds[:, 0] < bounds[:, 1]).all())
    return ascending and int(flat.max(initial=0)) <= length
