"""Words: what no cut may split."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["inside_word", "separate_ideographs", "trimmed", "whole_words"]

_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")


def separate_ideographs(text: str) -> str:
    """Put spaces around Chinese and Japanese characters, so that each counts as a word."""
    return _IDEOGRAPH.sub(r" \1 ", text)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen ``text[start:end]`` so that it cuts no word.

    A run of more than 64 letters and digits is data; it is cut where the range ended. Each
    ideograph is a word.

    Example:
        >>> whole_words("the cat sat", 5, 9)
        (4, 11)
    """
    limit = max(0, start - 64)
    first = start
    while first > limit and inside_word(text, first):
        first -= 1
    limit = min(len(text), end + 64)
    last = end
    while last < limit and inside_word(text, last):
        last += 1
    return (
        start if inside_word(text, first) else first,
        end if inside_word(text, last) else last,
    )


def inside_word(text: str, at: int) -> bool:
    """Whether a cut before character ``at`` would split a word (or a character's marks).

    Example:
        >>> inside_word("the cat", 5), inside_word("the cat", 4)
        (True, False)
    """
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if _joins(after) or before == "\u200d":
        return True
    if not (before.isalnum() and after.isalnum()):
        return False
    return not (_IDEOGRAPH.match(before) or _IDEOGRAPH.match(after))


def _joins(character: str) -> bool:
    """Combining marks, variation selectors, joiners: never separated from what they follow."""
    return character in "\u200d\ufe0e\ufe0f" or unicodedata.combining(character) != 0


def trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without white space around; ``None`` if nothing is left.

    Example:
        >>> trimmed(" cat ", 0, 5), trimmed("  ", 0, 2)
        ((1, 4), None)
    """
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
