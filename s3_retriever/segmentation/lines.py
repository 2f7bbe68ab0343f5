"""Line ends and empty lines, of any system: the one place that says what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from s3_retriever.segmentation.words import trimmed

__all__ = ["PlainLines", "first_line", "lines_of", "paragraphs_of", "plain_lines"]

_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028]")
"""One line end that is no line feed: of other systems, form feeds, Unicode's separators."""
_NOTHING_SEEN = "\t\x1f \xa0\xad\u1680\u2000-\u200f\u202f\u205f-\u2064\u2800\u3000\ufeff"
"""White space that ends no line, and what has no width: a byte order mark of a file that was
appended, say."""
_PARAGRAPH_END = re.compile(f"\u2029|\n(?:[{_NOTHING_SEEN}]*\n)+")
"""A paragraph separator, or line ends with nothing to be seen between."""


@dataclass(frozen=True)
class PlainLines:
    """A text whose lines all end in a line feed, and where its characters stood before."""

    text: str
    shortened: np.ndarray
    """``(n,)`` int64: places of the line feeds that were two characters, ascending."""

    def original(self, places: np.ndarray) -> np.ndarray:
        """Places in this text as places in the one it was made of."""
        moved: np.ndarray = places + np.searchsorted(self.shortened, places)
        return moved


def plain_lines(text: str) -> PlainLines:
    r"""A text with line feeds for line ends of any kind, so that all are read alike.

    Example:
        >>> plain = plain_lines("One\r\ntwo\x85three\r")
        >>> plain.text, plain.original(np.array([4, 8])).tolist()
        ('One\ntwo\nthree\n', [5, 9])
    """
    ends = [m.start() for m in re.finditer("\r\n", text)]
    shortened = np.array(ends, dtype=np.int64) - np.arange(len(ends))
    return PlainLines(_LINE_END.sub("\n", text), shortened)


def first_line(text: str) -> tuple[str, str]:
    r"""The first line without its end, and what stands below.

    Example:
        >>> first_line("Rome\r\nIt is old.\r\n")
        ('Rome', 'It is old.\n')
    """
    line, _, below = plain_lines(text).text.partition("\n")
    return line, below


def paragraphs_of(text: str) -> Iterator[tuple[int, int]]:
    r"""What stands between empty lines of a text with plain line ends, trimmed.

    Example:
        >>> list(paragraphs_of("One,\ntwo.\n \nThree."))
        [(0, 9), (12, 18)]
    """
    start = 0
    for end, after in [*(m.span() for m in _PARAGRAPH_END.finditer(text)), (len(text), 0)]:
        if found := trimmed(text, start, end):
            yield found
        start = after


def lines_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    r"""The lines of ``text[start:end]``, plain ones, without their ends; empty ones too.

    Example:
        >>> lines_of("a\nbc", 0, 4)
        [(0, 1), (2, 4)]
    """
    lines = []
    while (at := text.find("\n", start, end)) >= 0:
        lines.append((start, at))
        start = at + 1
    return [*lines, (start, end)]
