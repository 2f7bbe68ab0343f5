"""Sentences, by `sentencex` (Wikimedia)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

from s3_retriever.segmentation.words import inside_word

__all__ = ["ends_sentence", "sentence_starts"]

_PIECE = 1 << 14
"""Characters that are looked at together, so that a book without empty lines takes time in
proportion to its length."""
_ENDED = re.compile("[.!?\u2026\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4][^\\w\\s]{0,3}")


def sentence_starts(text: str, start: int, end: int, language: str) -> Iterator[int]:
    """Where the sentences of ``text[start:end]`` begin; each lasts until the next.

    Args:
        text: the whole document.
        start: first character.
        end: one past the last.
        language: what `sentencex` calls it.

    Example:
        >>> list(sentence_starts("It came. It went.", 0, 17, "en"))
        [0, 9]
    """
    while start < end:
        stop = min(end, start + _PIECE)
        found = [
            (start + s["start_index"], start + s["end_index"])
            for s in sentencex.get_sentence_boundaries(language, text[start:stop])
        ]
        if stop < end and len(found) > 1:
            del found[-1]  # cut off where the piece ends: it is read again
        yield from (first for first, _ in found if not inside_word(text, first))
        start = found[-1][1] if found else stop


def ends_sentence(text: str, start: int, end: int) -> bool:
    """Whether a piece without white space around ends as a sentence does, quotes or not.

    Example:
        >>> ends_sentence('He said "no."', 0, 13), ends_sentence("a, b", 0, 4)
        (True, False)
    """
    return any(_ENDED.fullmatch(text, at, end) for at in range(max(start, end - 4), end))
