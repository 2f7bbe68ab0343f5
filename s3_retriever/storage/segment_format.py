"""The format of a segment file: its arrays and its listing, and what must hold of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from s3_retriever.quoting import brief, quoted
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.storage.mapping import map_file

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
    return [_entry_from_json(record) for record in json.loads(content, parse_constant=_refused)]


def _refused(word: str) -> None:
    """NaN and the infinities are no JSON: whoever wrote them, it was no release of this library."""
    raise ValueError(f"{word} is no JSON")


def text_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def codes_digest(*arrays: np.ndarray) -> str:
    """Digest of a document's codes and offsets."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


_Size = Annotated[int, Field(ge=0, lt=1 << 62)]


class _Tensor(BaseModel):
    """Where a tensor lies, as the header of a safetensors file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dtype: str
    shape: list[_Size] = Field(max_length=8)
    data_offsets: tuple[_Size, _Size]


_Header = TypeAdapter(dict[str, _Tensor])


def map_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of a file, mapped into memory; the file may be closed.

    Raises:
        OSError: the system refuses to read it.
        ValueError: it is no segment.
    """
    whole = map_file(file)
    length = int.from_bytes(whole[:8].tobytes(), "little")
    data = whole[8 + length :] if length < len(whole) else whole[:0]
    try:
        header = _Header.validate_json(whole[8 : 8 + min(length, len(whole))].tobytes())
    except ValidationError:  # which would quote the file
        raise ValueError("its header is none of a segment") from None
    names = set(header)
    kinds = _KINDS | _BOUNDS if names >= set(_BOUNDS) else _KINDS
    if names != set(kinds):
        raise ValueError(f"holds {sorted(names)} instead of {sorted(kinds)}")
    arrays = {}
    for name in kinds:
        first, last = header[name].data_offsets
        piece = data[first:last]  # shorter where the file ends, and then of no fitting shape
        dtype = np.dtype(_DTYPES[header[name].dtype])
        if piece.ctypes.data % dtype.itemsize:  # safetensors aligns widest first; foreign may not
            piece = piece.copy()
        arrays[name] = piece.view(dtype).reshape(header[name].shape)
    if max(tensor.data_offsets[1] for tensor in header.values()) != len(data):
        raise ValueError("is longer or shorter than its header says")
    return arrays


def check_arrays(arrays: Mapping[str, np.ndarray], entries: Sequence[Entry]) -> None:
    """The arrays have their types, and every range of every entry lies inside them, in order."""
    for name, (dtypes, ndim) in (_KINDS | _BOUNDS).items():
        if name in _BOUNDS and name not in arrays:
            continue
        if arrays[name].dtype not in dtypes or arrays[name].ndim != ndim:
            raise ValueError(
                f"{brief(name)} is {arrays[name].dtype} with {arrays[name].ndim} dimensions"
            )
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
            raise ValueError(f"document {quoted(entry.id)} is out of place")
        token, byte = entry.tokens[1], entry.text[1]
        block += entry.n_blocks
        if entry.n_tokens < 0 or entry.text[1] < entry.text[0]:
            raise ValueError(f"document {quoted(entry.id)} has a negative length")
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
