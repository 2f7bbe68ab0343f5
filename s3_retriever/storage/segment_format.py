"""The format of a segment file: its arrays and its listing, and what must hold of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from s3_retriever.search.base import BLOCK_TOKENS

__all__ = [
    "UNREADABLE",
    "Entry",
    "check_arrays",
    "codes_digest",
    "map_arrays",
    "read_listing",
    "text_hash",
    "write_listing",
]

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
_BOUNDS: dict[str, tuple[tuple[Any, ...], int]] = {
    "sentences": ((np.uint32,), 2),
    "paragraphs": ((np.uint32,), 2),
}
"""Of files of schema version 3 and later."""

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
    sentences: tuple[int, int] | None = None
    """Rows of the sentences' bounds; ``None`` before schema version 3."""
    paragraphs: tuple[int, int] | None = None
    """Rows of the paragraphs' bounds, likewise."""

    @property
    def n_tokens(self) -> int:
        """Tokens of the document."""
        return self.tokens[1] - self.tokens[0]

    @property
    def n_blocks(self) -> int:
        """Blocks of the document."""
        return -(-self.n_tokens // BLOCK_TOKENS)


def write_listing(entries: Sequence[Entry]) -> bytes:
    """The documents as JSON: what the file and the one beside it hold."""
    return json.dumps([_entry_to_json(e) for e in entries]).encode()


def read_listing(content: bytes) -> list[Entry]:
    """The documents that :func:`write_listing` wrote.

    Raises:
        ValueError, KeyError, TypeError, OverflowError, RecursionError: it is no listing.
    """
    return [_entry_from_json(record) for record in json.loads(content)]


def text_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def codes_digest(*arrays: np.ndarray) -> str:
    """Digest of a document's codes and offsets."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, mapped into memory.

    Raises:
        OSError, SafetensorError, ValueError, KeyError, TypeError: it is no segment.
    """
    with safe_open(path, framework="np") as file:  # checks the header against the file's size
        names = set(file.keys())
    kinds = _KINDS | _BOUNDS if names >= set(_BOUNDS) else _KINDS
    if names != set(kinds):
        raise ValueError(f"holds {sorted(names)} instead of {sorted(kinds)}")
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(length))
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    arrays = {}
    for name in kinds:
        first, last = header[name]["data_offsets"]
        piece = whole[8 + length + first : 8 + length + last]
        dtype = np.dtype(_DTYPES[header[name]["dtype"]])
        if piece.ctypes.data % dtype.itemsize:  # safetensors aligns widest first; foreign may not
            piece = piece.copy()
        arrays[name] = piece.view(dtype).reshape(header[name]["shape"])
    return arrays


def check_arrays(arrays: Mapping[str, np.ndarray], entries: Sequence[Entry]) -> None:
    """The arrays have their types, and every range of every entry lies inside them, in order."""
    for name, (dtypes, ndim) in (_KINDS | _BOUNDS).items():
        if name in _BOUNDS and name not in arrays:
            continue
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
    if "sentences" in arrays:
        _check_bounds(arrays["sentences"], [entry.sentences for entry in entries])
        _check_bounds(arrays["paragraphs"], [entry.paragraphs for entry in entries])


def _check_bounds(array: np.ndarray, ranges: Sequence[tuple[int, int] | None]) -> None:
    """The documents' ranges cover the array, in order."""
    row = 0
    for given in ranges:
        if given is None or given[0] != row or given[1] < row:
            raise ValueError("bounds of sentences are out of place")
        row = given[1]
    if row != len(array) or array.shape[1:] != (2,):
        raise ValueError("the documents do not cover the bounds of sentences")


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    record = {
        "id": entry.id,
        "tokens": entry.tokens,
        "text": entry.text,
        "first_block": entry.first_block,
        "hash": entry.hash,
        "metadata": dict(entry.metadata),
    }
    said = {"codes": entry.codes, "sentences": entry.sentences, "paragraphs": entry.paragraphs}
    return record | {name: value for name, value in said.items() if value is not None}


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
        sentences=_range(record.get("sentences")),
        paragraphs=_range(record.get("paragraphs")),
    )


def _range(given: Any) -> tuple[int, int] | None:
    if given is None:
        return None
    first, last = given
    return int(first), int(last)
