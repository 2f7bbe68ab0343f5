"""How arrays and names become values of columns."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

__all__ = ["document_key", "json_without_nul", "packed", "term_of_word", "unpacked", "word_bits"]

_WIDTHS = ("<i1", "<i2", "<i4", "<i8")
word_bits = 56
"""Of the number that stands for a word: two of ten million words share one with a chance of 1 in
1,400."""


def document_key(doc_id: str) -> int:
    """A number of 63 bits for a document's id: the same in every process and on every server.

    Example:
        >>> document_key("cats") == document_key("cats") != document_key("dogs")
        True
    """
    return _hashed(doc_id) >> 1


def term_of_word(word: str) -> int:
    """The number by which a word is looked up, of :data:`word_bits` bits."""
    return _hashed(word) >> (64 - word_bits)


def _hashed(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def packed(array: np.ndarray) -> bytes:
    """Numbers as their differences, in as few bytes each as the largest one needs.

    Example:
        >>> len(packed(np.array([0, 5, 9, 300], np.uint32)))
        9
        >>> unpacked(packed(np.array([0, 5, 9, 300], np.uint32))).tolist()
        [0, 5, 9, 300]
    """
    steps = np.diff(array.astype(np.int64).ravel(), prepend=0)
    low, high = int(steps.min(initial=0)), int(steps.max(initial=0))
    for code, width in enumerate(_WIDTHS):
        limit = 1 << (8 * (1 << code) - 1)
        if -limit <= low and high < limit:
            return bytes([code]) + steps.astype(width).tobytes()
    raise AssertionError("int64 holds every difference of uint32")


def unpacked(content: bytes) -> np.ndarray:
    """The uint32 numbers that :func:`packed` took."""
    steps = np.frombuffer(content, _WIDTHS[content[0]], offset=1)
    return steps.cumsum(dtype=np.int64).astype(np.uint32)


def json_without_nul(value: Any) -> Any:
    """A value of metadata as ``jsonb`` takes it: it knows no NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\1")  # which stands in the same order to all others
    if isinstance(value, dict):
        return {json_without_nul(name): json_without_nul(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_without_nul(item) for item in value]
    return value
