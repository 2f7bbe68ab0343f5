"""What a GGUF file says of itself, held against its size before anything is made of it.

The readers believe every length: one of 2^40 has them loop or take memory for ever.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from s3_retriever.errors import ModelError
from s3_retriever.quoting import brief, why

__all__ = ["check_gguf"]

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type's number."""
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4
_LEAST_ENTRY = 8 + 4 + 1
"""Bytes of the shortest entry: a key's length, a type, a value."""


def check_gguf(path: Path) -> None:
    """Make sure that every count and length of a file's header lies inside the file.

    Takes time of the header's size, and no memory.

    Raises:
        ModelError: one does not, or it is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            _Header(file).check()
    except (OSError, ValueError, struct.error, OverflowError) as e:
        raise ModelError(
            f"{brief(path)} is not a GGUF model that transformers reads: {why(e)}"
        ) from e


class _Header:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def check(self) -> None:
        if self._file.read(4) != b"GGUF":
            raise ValueError("it does not begin as one")
        if (version := self._number("I")) not in (2, 3):
            raise ValueError(f"it has version {version}; 2 and 3 are read")
        n_tensors, n_entries = self._number("Q"), self._number("Q")
        if (n_tensors + n_entries) * _LEAST_ENTRY > self._left():
            raise ValueError(f"it claims {n_tensors} tensors and {n_entries} entries")
        for _ in range(n_entries):
            self._string()
            self._value(self._number("I"))
        for _ in range(n_tensors):
            self._tensor()

    def _tensor(self) -> None:
        self._string()
        dimensions = self._number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"it claims a tensor of {dimensions} dimensions")
        numbers = 1
        for _ in range(dimensions):
            numbers *= self._number("Q")
        self._number("I")
        offset = self._number("Q")
        # no format has less than a bit for a number
        if numbers // 8 > self._size or offset > self._size:
            raise ValueError(f"it claims a tensor of {numbers} numbers at {offset}")

    def _value(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind != _ARRAY:
            self._skip(self._size_of(kind))
        else:
            inner, n = self._number("I"), self._number("Q")
            if inner != _STRING:
                self._skip(n * self._size_of(inner))
            elif n * 8 > self._left():
                raise ValueError(f"it claims a list of {n} strings")
            else:
                for _ in range(n):
                    self._string()

    def _string(self) -> None:
        self._skip(self._number("Q"))

    @staticmethod
    def _size_of(kind: int) -> int:
        if kind not in _SIZES:
            raise ValueError(f"it holds values of an unknown type {kind}")
        return _SIZES[kind]

    def _number(self, form: str) -> int:
        size = struct.calcsize("<" + form)
        found: int = struct.unpack("<" + form, self._file.read(size))[0]
        return found

    def _skip(self, length: int) -> None:
        if length > self._left():
            raise ValueError(f"it claims {length} bytes where {self._left()} are left")
        self._file.seek(length, os.SEEK_CUR)

    def _left(self) -> int:
        return self._size - self._file.tell()
