"""Line ends and empty lines, of any system."""

from __future__ import annotations

import re
from collections.abc import Iterator

from s3_retriever.segmentation.words import trimmed

__all__ = ["LINE_END", "lines_of", "paragraphs_of"]

LINE_END = "(?:\r\n|\r(?!\n)|[\n\x0b\x0c\x1c-\x1e\x85\u2028])"
"""A pattern: one line end."""
_BLANK = "[^\\S\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]*"
_END = re.compile(LINE_END)
_PARAGRAPH_END = re.compile(f"\u2029|{LINE_END}(?:{_BLANK}{LINE_END})+")
"""A paragraph separator, or line ends (of any system) with only white space between."""


def paragraphs_of(text: str) -> Iterator[tuple[int, int]]:
    r"""What stands between empty lines, trimmed.

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
    r"""The lines of ``text[start:end]``, without their ends; empty ones too.

    Example:
        >>> lines_of("a\nbc", 0, 4)
        [(0, 1), (2, 4)]
    """
    lines = []
    for found in _END.finditer(text, start, end):
        lines.append((start, found.start()))
        start = found.end()
    return [*lines, (start, end)]
