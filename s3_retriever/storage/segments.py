"""One immutable file of coded documents: the forward store's unit.

A safetensors file: ``ids``, ``activations``, ``starts``, ``ends`` (one row a token), ``df`` (one
count a latent), ``text`` (UTF-8 of all documents) and ``documents`` (JSON, the listing). Opened by
mapping it into memory, so a large index costs no resident memory until it is asked. The listing
stands once more in a file beside it, so that damage to one of the two leaves every document a name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.search.base import BLOCK_TOKENS, Block
from s3_retriever.storage.files import write_durably
from s3_retriever.text import find_bounds, language_of, whole_words
from s3_retriever.types import Document, EncodedDocument, TextBounds

__all__ = ["Entry", "Segment", "read_listing", "text_hash"]

_DTYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32}
_KINDS: dict[str, tuple[tuple[Any, ...], int]] = {
    "ids": ((np.uint16, np.uint32), 3),
    "activations": ((np.uint8,), 3),
    "starts": ((np.uint32,), 1),
    "ends": ((np.uint32,), 1),
    "df": ((np.uint32,), 2),
    "text": ((np.uint8,), 1),
    "documents": ((np.uint8,), 1),
}
"""Types and number of dimensions of each array."""

UNREADABLE = (
    OSError,
    SafetensorError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What a file that is no segment can raise on the way."""


@dataclass(frozen=True)
class Entry:
    """Where one document lies in its segment."""

    id: str
    tokens: tuple[int, int]
    """Rows of the token arrays."""
    text: tuple[int, int]
    """Bytes of the text blob."""
    first_block: int
    """Number of its first block in the segment."""
    hash: str
    """:func:`text_hash` of the text."""
    metadata: Mapping[str, Any]
    codes: str | None = None
    """:meth:`Segment.codes_digest`; ``None`` in files of schema version 1."""

    @property
    def n_tokens(self) -> int:
        """Tokens of the document."""
        return self.tokens[1] - self.tokens[0]

    @property
    def n_blocks(self) -> int:
        """Blocks of the document."""
        return -(-self.n_tokens // BLOCK_TOKENS)


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
        self.entries = tuple(entries)
        self._sound: set[tuple[int, int]] = set()
        self._decoded: tuple[Entry, str] | None = None

    @classmethod
    def build(cls, name: str, coded: Sequence[EncodedDocument], n_latents: int) -> Segment:
        """Join coded documents into one segment in memory."""
        entries = []
        texts = []
        token = byte = block = 0
        for item in coded:
            text = item.document.text.encode("utf-8")
            entry = Entry(
                id=item.document.id,
                tokens=(token, token + len(item)),
                text=(byte, byte + len(text)),
                first_block=block,
                hash=text_hash(item.document.text),
                metadata=dict(item.document.metadata),
                codes=_codes_digest(item.ids, item.activations, item.starts, item.ends),
            )
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
        }
        return cls(name, arrays, entries)

    def listing(self) -> bytes:
        """The documents as JSON: what the file and the one beside it hold."""
        return json.dumps([_entry_to_json(e) for e in self.entries]).encode()

    def write(self, path: Path) -> tuple[str, str]:
        """Write the segment durably; returns the SHA-256 of the file and of its listing.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        listing = self.listing()
        tensors = {
            "ids": self.ids,
            "activations": self.activations,
            "starts": self.starts,
            "ends": self.ends,
            "df": self.df,
            "text": self._text,
            "documents": np.frombuffer(listing, dtype=np.uint8),
        }
        content = save({name: np.ascontiguousarray(t) for name, t in tensors.items()})
        write_durably(path, content)
        return hashlib.sha256(content).hexdigest(), hashlib.sha256(listing).hexdigest()

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
        """
        try:
            arrays = _map(path)
            listing = bytes(arrays["documents"]) if listing is None else listing
            if listing_sha256 not in (None, hashlib.sha256(listing).hexdigest()):
                raise ValueError("its listing of documents was changed")
            entries = read_listing(listing)
            _check(arrays, entries)
        except UNREADABLE as e:
            raise IndexStorageError(
                f"segment {path} is missing or damaged ({e}); run: s3-retriever doctor"
            ) from e
        return cls(path.stem, arrays, entries)

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
                        f"the text of document {entry.id!r} in segment {self.name} is damaged; "
                        "run: s3-retriever doctor"
                    )
                self._sound.add(entry.text)
            kept = self._decoded = (entry, raw.decode("utf-8"))
        return kept[1]

    def codes_digest(self, entry: Entry) -> str:
        """Digest of the document's codes and offsets as they are in the file now."""
        rows = slice(*entry.tokens)
        return _codes_digest(
            self.ids[rows], self.activations[rows], self.starts[rows], self.ends[rows]
        )

    def suits(self, card: ProfileCard) -> bool:
        """Whether the arrays have the profile's sizes."""
        return self.ids.shape[1:] == (len(card.hookpoints), card.k) and self.df.shape == (
            len(card.hookpoints),
            card.n_latents,
        )

    def fits(self, entry: Entry, n_latents: int) -> bool:
        """Whether a document's codes name latents that exist and its offsets lie in its text."""
        rows = slice(*entry.tokens)
        ids, starts, ends = self.ids[rows], self.starts[rows], self.ends[rows]
        if not len(starts):
            return True
        length = len(self.text(entry))
        inside = bool((starts <= ends).all()) and int(ends.max()) <= length
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
            for block in range(entry.first_block, entry.first_block + entry.n_blocks):
                first, last = self.block_rows(entry, block)
                start, end = whole_words(text, int(self.starts[first]), int(self.ends[last - 1]))
                yield Block(self.name, number, block, text[start:end], self.ids[first:last])

    @staticmethod
    def block_rows(entry: Entry, block: int) -> tuple[int, int]:
        """Rows of one block of a document in the token arrays."""
        first = entry.tokens[0] + (block - entry.first_block) * BLOCK_TOKENS
        return first, min(first + BLOCK_TOKENS, entry.tokens[1])

    def bounds(self, entry: Entry) -> TextBounds:
        """Where the document's sentences and paragraphs stand."""
        return find_bounds(self.text(entry), language_of(entry.metadata))

    def encoded(self, entry: Entry) -> EncodedDocument:
        """The document with its codes, as the scan made it."""
        rows = slice(*entry.tokens)
        return EncodedDocument(
            document=Document(entry.id, self.text(entry), entry.metadata),
            starts=self.starts[rows],
            ends=self.ends[rows],
            ids=self.ids[rows],
            activations=self.activations[rows],
            bounds=self.bounds(entry),
        )


def read_listing(content: bytes) -> list[Entry]:
    """The documents that :meth:`Segment.listing` wrote.

    Raises:
        ValueError, KeyError, TypeError, OverflowError, RecursionError: it is no listing.
    """
    return [_entry_from_json(record) for record in json.loads(content)]


def text_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _codes_digest(*arrays: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _document_frequencies(ids: np.ndarray, n_latents: int) -> np.ndarray:
    """``(n_hookpoints, n_latents)`` uint32: tokens at which each latent is active."""
    return np.stack(
        [np.bincount(ids[:, h].ravel(), minlength=n_latents) for h in range(ids.shape[1])]
    ).astype(np.uint32)


def _map(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, framework="np") as file:  # checks the header against the file's size
        names = set(file.keys())
    if names != set(_KINDS):
        raise ValueError(f"holds {sorted(names)} instead of {sorted(_KINDS)}")
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(length))
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    arrays = {}
    for name in _KINDS:
        first, last = header[name]["data_offsets"]
        piece = whole[8 + length + first : 8 + length + last]
        dtype = np.dtype(_DTYPES[header[name]["dtype"]])
        if piece.ctypes.data % dtype.itemsize:  # safetensors aligns widest first; foreign may not
            piece = piece.copy()
        arrays[name] = piece.view(dtype).reshape(header[name]["shape"])
    return arrays


def _check(arrays: Mapping[str, np.ndarray], entries: Sequence[Entry]) -> None:
    """The arrays have their types, and every range of every entry lies inside them, in order."""
    for name, (dtypes, ndim) in _KINDS.items():
        if arrays[name].dtype not in dtypes or arrays[name].ndim != ndim:
            raise ValueError(f"{name} is {arrays[name].dtype} with {arrays[name].ndim} dimensions")
    if arrays["df"].shape[0] != arrays["ids"].shape[1]:
        raise ValueError("df and ids of different hookpoints")
    n = len(arrays["starts"])
    if not len(arrays["ends"]) == len(arrays["ids"]) == len(arrays["activations"]) == n:
        raise ValueError("token arrays of different lengths")
    if arrays["ids"].shape != arrays["activations"].shape or arrays["ids"].ndim != 3:
        raise ValueError("ids and activations of different shapes")
    token = byte = block = 0
    for entry in entries:
        if entry.tokens[0] != token or entry.text[0] != byte or entry.first_block != block:
            raise ValueError(f"document {entry.id!r} is out of place")
        token, byte = entry.tokens[1], entry.text[1]
        block += entry.n_blocks
        if entry.n_tokens < 0 or entry.text[1] < entry.text[0]:
            raise ValueError(f"document {entry.id!r} has a negative length")
    if token != n or byte != len(arrays["text"]):
        raise ValueError("the documents do not cover the file")


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    record = {
        "id": entry.id,
        "tokens": entry.tokens,
        "text": entry.text,
        "first_block": entry.first_block,
        "hash": entry.hash,
        "metadata": dict(entry.metadata),
    }
    return record if entry.codes is None else record | {"codes": entry.codes}


def _entry_from_json(record: Mapping[str, Any]) -> Entry:
    first, last = record["tokens"]
    text_first, text_last = record["text"]
    return Entry(
        id=str(record["id"]),
        tokens=(int(first), int(last)),
        text=(int(text_first), int(text_last)),
        first_block=int(record["first_block"]),
        hash=str(record["hash"]),
        metadata=dict(record["metadata"]),
        codes=None if (codes := record.get("codes")) is None else str(codes),
    )
