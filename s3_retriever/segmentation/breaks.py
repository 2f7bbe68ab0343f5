"""Places where a text may be cut, how good each is, and which of them to take."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from s3_retriever.segmentation.words import inside_word, whole_words

__all__ = ["Break", "Strength", "breaks_inside", "cut", "merged"]


class Strength(IntEnum):
    """How much begins at a break."""

    WORD = 0
    CLAUSE = 1
    """After ``,`` or before a dash."""
    PART = 2
    """After ``;`` or a cell of a table, around a tag."""
    LINE = 3
    """After a line end, before one that is spelled out, between the values of a record."""
    SENTENCE = 4
    BLANK = 5
    """After an empty line, or before one that is spelled out."""
    BLOCK = 6
    """A record, a turn, a row."""


class Break(NamedTuple):
    """Where something begins."""

    at: int
    """First character."""
    strength: Strength


_BLOCK = 60
"""Characters of a record, a turn, a row that stands by itself."""
_INSIDE = re.compile(
    "(?P<line>\n[^\\S\n]{0,80}|(?=(?<!\\\\)(?:\\\\{1,4}[nr]){1,8}))"
    "|(?P<sentence>[.!?][\"'\u201d\u2019)\\]]{0,3}\\s)"
    "|(?P<sign>[\u3002\uff01\uff1f\u0964\u06d4])"
    "|(?P<part>[;\u061b\uff1b][\"']?\\s?|\t|\\s\\|\\s|(?<=>)(?=<)|[\"'],\\s?(?=[\"'{\\[]))"
    "|(?P<clause>[,\u060c\u3001\uff0c]\\s?|\\s(?=[-\u2013\u2014|]\\s)|\u2014|(?<=:)(?=[{\\[]))"
)
"""The break is at the end of what matches. Bounded repetitions only: linear on any text."""
_STRENGTHS = {
    "line": Strength.LINE,
    "sentence": Strength.SENTENCE,
    "sign": Strength.SENTENCE,
    "part": Strength.PART,
    "clause": Strength.CLAUSE,
}


def breaks_inside(text: str, start: int, end: int) -> list[Break]:
    r"""What text shows by itself, whatever its kind: lines, sentence ends, clauses.

    Example:
        >>> [(b.at, b.strength.name) for b in breaks_inside("a, b; c\nd", 0, 9)]
        [(3, 'CLAUSE'), (6, 'PART'), (8, 'LINE')]
    """
    found = []
    for match in _INSIDE.finditer(text, start, end):
        at = match.end()
        if start < at < end and not inside_word(text, at):
            found.append(Break(at, _STRENGTHS[match.lastgroup or "clause"]))
    return found


def merged(text: str, breaks: Sequence[Break], end: int, least: int, most: int) -> list[Break]:
    """Leave out breaks so that few pieces are small: crumbs join the neighbour they belong to.

    A piece is small below ``least`` characters (a block: 60) or without a letter or digit.
    One pass: a small piece joins what stands before it unless more begins with it than after it.

    Args:
        text: the whole document.
        breaks: where pieces begin, in order; the first is kept.
        end: where the last piece ends.
        least: characters of a piece that can stand by itself.
        most: characters of a piece that is made by joining.

    Example:
        >>> row = Strength.BLOCK
        >>> [b.at for b in merged("a b c", [Break(0, row), Break(2, row), Break(4, row)], 5, 3, 9)]
        [0, 4]
    """
    kept = list(breaks[:1])
    for number, here in enumerate(breaks[1:], start=1):
        after = breaks[number + 1] if number + 1 < len(breaks) else Break(end, Strength.BLOCK)
        small = least if here.strength < Strength.BLOCK else min(least, _BLOCK)
        crumb = after.at - here.at < small and here.strength < after.strength
        joins = here.at - kept[-1].at < small or crumb or not _says(text, here.at, after.at)
        if not (joins and after.at - kept[-1].at <= most):
            kept.append(here)
    return kept


def _says(text: str, start: int, end: int) -> bool:
    """Whether there is a letter or a digit."""
    return any(text[at].isalnum() for at in range(start, end))


def cut(
    text: str, start: int, end: int, breaks: Sequence[Break], aim: int, most: int
) -> Iterator[Break]:
    """Cut a range that is longer than ``most`` into even pieces at the best breaks.

    Of the breaks around where an even cut would fall, the strongest is taken, of equals the
    nearest; a word bound where there is none.

    Args:
        text: the whole document.
        start: first character.
        end: one past the last.
        breaks: inside the range, in order.
        aim: characters of a piece.
        most: characters of the longest piece, but for a word's rest.

    Yields:
        Where pieces begin, without the first.

    Example:
        >>> [b.at for b in cut("one two, three four", 0, 19, [Break(9, Strength.CLAUSE)], 10, 12)]
        [9]
    """
    places = [b.at for b in breaks]
    while end - start > most:
        even = (end - start) / math.ceil((end - start) / aim)
        low, high = start + max(1, int(even / 2)), start + min(most, int(even * 1.5))
        near = breaks[bisect_left(places, low) : bisect_left(places, high + 1)]
        if near:
            middle = start + even
            best = max(near, key=lambda b: (b.strength, -abs(b.at - middle)))
        else:
            best = Break(whole_words(text, start, start + int(even))[1], Strength.WORD)
        if best.at >= end:
            return
        yield best
        start = best.at
