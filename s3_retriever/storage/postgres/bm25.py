"""BM25 over blocks, by the same arithmetic as the embedded search engine.

Tantivy keeps the length of a field in one byte, in the way of Lucene: exactly up to 40, then with
four significant bits. Scores must be the same wherever an index lies, so this is done here, too.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["LENGTHS", "length_codes", "norms", "weight_of"]

_K1 = 1.2
_B = 0.75
_EXACT = 24
"""Lengths below this are their own code."""


def _length(code: int) -> int:
    if code < _EXACT:
        return code
    mantissa, shift = (code - _EXACT) & 7, ((code - _EXACT) >> 3) - 1
    return _EXACT + (mantissa if shift < 0 else (mantissa | 8) << shift)


LENGTHS = np.array([_length(code) for code in range(256)], dtype=np.int64)
"""``(256,)``: the length that each code stands for."""


def length_codes(lengths: np.ndarray) -> np.ndarray:
    """``(n,)`` uint8: the code of the longest length that is not above each of ``lengths``.

    Example:
        >>> LENGTHS[length_codes(np.array([7, 40, 41, 42, 2048]))].tolist()
        [7, 40, 40, 42, 1944]
    """
    codes: np.ndarray = np.searchsorted(LENGTHS, lengths, side="right") - 1
    return codes.astype(np.uint8)


def weight_of(n_blocks: int, df: int) -> float:
    """What a term that ``df`` blocks hold counts: ``K1 + 1`` times its idf over blocks."""
    return (_K1 + 1) * math.log(1 + (n_blocks - df + 0.5) / (df + 0.5))


def norms(mean_length: float) -> np.ndarray:
    """``(256,)`` float64: what is added to a frequency below the line, by the length's code.

    The score of a term that stands ``tf`` times in a block is :func:`weight_of` times
    ``tf / (tf + norm)``.
    """
    return _K1 * (1 - _B + _B * LENGTHS / max(mean_length, 1e-9))
