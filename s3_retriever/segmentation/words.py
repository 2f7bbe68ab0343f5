"""Words, and what a reader sees as one letter: what no cut may split."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

import regex

__all__ = [
    "LONGEST_FLAGS",
    "PIECE",
    "fitting_end",
    "in_flags",
    "inside_cluster",
    "inside_word",
    "long_words",
    "separate_ideographs",
    "trimmed",
    "whole_pieces",
    "whole_words",
]

_IDEOGRAPHS = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Chinese and Japanese characters."""
_IDEOGRAPH = regex.compile(f"([{_IDEOGRAPHS}])")
_REACH = 64
"""Characters of the longest word and the longest cluster that are kept whole; more is data."""
_LETTER = f"[[\\p{{L}}\\p{{N}}]--[{_IDEOGRAPHS}]]"
_RUN = re.compile(r"\S+")
_LONG_WORD = regex.compile(
    f"(?V1)[[\\p{{L}}\\p{{N}}]--[{_IDEOGRAPHS}]--\\p{{LB=SA}}]{{{_REACH + 1},}}"
)
PIECE = _REACH
"""Characters of the pieces that longer words are looked up by."""
_WITHIN = regex.compile(
    f"(?V1)(?<={_LETTER}[\\p{{M}}\\p{{Cf}}--\\u200b]{{0,64}})(?=[\\p{{Cf}}--\\u200b]{{0,64}}{_LETTER})"
)
"""Between two letters, whose marks, soft hyphens and joiners part nothing."""
_CLUSTER = regex.compile(r"\X")
_MAY_JOIN = regex.compile(
    r"[\r\p{GCB=Prepend}\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=RI}].|\p{GCB=L}[\p{GCB=L}\p{GCB=V}\p{GCB=LV}"
    r"\p{GCB=LVT}]|[\p{GCB=LV}\p{GCB=V}][\p{GCB=V}\p{GCB=T}]|[\p{GCB=LVT}\p{GCB=T}]\p{GCB=T}"
    r"|.[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]",
    regex.DOTALL,
)
"""Pairs of characters that can be inside one cluster; all others are told apart at a glance."""
_FLAG_LETTERS = regex.compile(r"(?r)\p{GCB=RI}*")
"""Backwards: two and two are a flag, counted from where they begin."""
LONGEST_FLAGS = 2048
"""Characters of flags in a row that are counted back; more is data, and may be cut anywhere."""


def separate_ideographs(text: str) -> str:
    """Put spaces around Chinese and Japanese characters, so that each counts as a word."""
    return str(_IDEOGRAPH.sub(r" \1 ", text))


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen ``text[start:end]`` so that it cuts no word.

    A run of more than 64 letters and digits is data; it is cut where the range ended, between
    clusters. Each ideograph is a word.

    Example:
        >>> whole_words("the cat sat", 5, 9)
        (4, 11)
    """
    return _back(text, start), _on(text, end)


def _back(text: str, at: int) -> int:
    """The next place at or before ``at`` that is inside no word, else inside no cluster."""
    limit = max(0, at - _REACH)
    for inside in (inside_word, inside_cluster):
        first = at
        while first > limit and inside(text, first):
            first -= 1
        if not inside(text, first):
            return first
    return at


def _on(text: str, at: int) -> int:
    """The next place at or behind ``at`` that is inside no word, else inside no cluster."""
    limit = min(len(text), at + _REACH)
    for inside in (inside_word, inside_cluster):
        last = at
        while last < limit and inside(text, last):
            last += 1
        if not inside(text, last):
            return last
    return at


def long_words(text: str) -> list[tuple[int, int]]:
    """Runs of letters and digits that are longer than a word can be: hashes, encoded data."""
    if max(map(len, text.split()), default=0) <= PIECE:  # so it is nearly always, and fast
        return []
    return [
        found.span()
        for run in _RUN.finditer(text)
        if run.end() - run.start() > PIECE
        for found in _LONG_WORD.finditer(text, *run.span())
    ]


def whole_pieces(long: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Widen a range so that it cuts no piece of a long word, counted from that word's start.

    Args:
        long: as :func:`long_words` gives them.
        start: first character.
        end: one past the last.

    Example:
        >>> whole_pieces([(10, 210)], 80, 90)
        (74, 138)
    """
    return _piece(long, start, 0), _piece(long, end, PIECE - 1)


def _piece(long: Sequence[tuple[int, int]], at: int, up: int) -> int:
    number = bisect_left(long, (at, 0)) - 1
    if number < 0 or at >= long[number][1]:
        return at
    first, end = long[number]
    return min(end, first + (at - first + up) // PIECE * PIECE)


def fitting_end(text: str, most: int) -> int:
    """Where the longest beginning of at most ``most`` characters ends that cuts no word.

    Where not even the first word fits, it ends between clusters; 0 if not even the first of them
    fits. White space at the end is left out.

    Example:
        >>> fitting_end("the cat sat", 6), fitting_end("unbreakable", 6)
        (3, 6)
    """
    for bound in (lambda at: _on(text, at) == at, lambda at: not inside_cluster(text, at)):
        end = most
        while end > 0 and not bound(end):
            end -= 1
        if kept := len(text[:end].rstrip()):
            return kept
    return 0


def inside_word(text: str, at: int) -> bool:
    """Whether a cut before character ``at`` would split a word or a cluster.

    Example:
        >>> inside_word("the cat", 5), inside_word("the cat", 4)
        (True, False)
    """
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before.isascii() and after.isascii():
        return (before.isalnum() and after.isalnum()) or before + after == "\r\n"
    return bool(_WITHIN.match(text, at)) or inside_cluster(text, at)


def inside_cluster(text: str, at: int) -> bool:
    r"""Whether a cut before ``at`` would split what a reader sees as one letter.

    That is an extended grapheme cluster of Unicode: a letter with its marks and vowel signs, an
    emoji with its skin tone, emoji that are joined to one, a flag, a line end of two characters.

    Example:
        >>> inside_cluster("e\u0301a", 1), inside_cluster("e\u0301a", 2)
        (True, False)
    """
    if not 0 < at < len(text) or not _MAY_JOIN.match(text, at - 1, at + 1):
        return False
    start = max(0, at - _REACH)
    flags = _FLAG_LETTERS.match(text, max(0, start - LONGEST_FLAGS), start)
    start -= (flags.end() - flags.start()) % 2
    near = text[start : at + 1]
    return all(start + cluster.start() != at for cluster in _CLUSTER.finditer(near))


def in_flags(text: str) -> bool:
    """Whether a text begins with a letter of a flag, perhaps the second."""
    return bool(_FLAG_LETTERS.match(text, 0, 1)[0])


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
