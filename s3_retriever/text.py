"""Bounds in plain text: words and sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import sentencex

__all__ = ["sentence_bounds", "sentences", "separate_ideographs", "whole_words"]

_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_MAX_SENTENCE = 600
"""Characters; what claims to be a longer sentence is a table, a log or code: it is cut at words."""
_CONTEXT = 2400
"""Characters to each side in which sentence bounds are looked for."""


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
    while first > limit and _inside_word(text, first):
        first -= 1
    limit = min(len(text), end + 64)
    last = end
    while last < limit and _inside_word(text, last):
        last += 1
    return (
        start if _inside_word(text, first) else first,
        end if _inside_word(text, last) else last,
    )


def _inside_word(text: str, at: int) -> bool:
    """Whether a cut before character ``at`` would split a word (or a character's marks)."""
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


def sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Bounds of the sentences that overlap ``text[start:end]``, without white space around them.

    They come from `sentencex` (Wikimedia), never cross an empty line, and are cut between words
    where they claim to be longer than 600 characters (tables, logs, code).

    Example:
        >>> sentences("One here. Two there. Three.", 12, 14)
        [(10, 20)]
    """
    low, high = max(0, start - _CONTEXT), min(len(text), end + _CONTEXT)
    break_before = text.rfind("\n\n", low, start)
    low = break_before + 2 if break_before >= 0 else low
    found = []
    for sentence in sentencex.get_sentence_boundaries("en", text[low:high]):
        first, last = low + sentence["start_index"], low + sentence["end_index"]
        if last > start and first < end:
            found += [b for b in _bounded(text, first, last) if b[1] > start and b[0] < end]
    return found


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut one sentence into pieces that are not too long, trimmed; none for white space."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end:
        cut = end
        if end - start > _MAX_SENTENCE:
            cut = min(whole_words(text, start, start + _MAX_SENTENCE)[1], end)
        yield start, cut
        start = cut
        while start < end and text[start].isspace():
            start += 1


def sentence_bounds(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen ``text[start:end]`` to whole sentences.

    Example:
        >>> sentence_bounds("One here. Two there. Three.", 12, 14)
        (10, 20)
    """
    around = sentences(text, start, end)
    if not around:
        return whole_words(text, start, end)
    return around[0][0], around[-1][1]
