"""The headings of Markdown and reStructuredText."""

from __future__ import annotations

import re

__all__ = ["first_heading"]

_NEAR = 4000
"""Characters in which a title is looked for."""

_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t#]*$")
_UNDERLINE = re.compile(r"([=\-~^*#\"'+.:_`])\1{2,}\s*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")


def first_heading(text: str) -> str | None:
    r"""The first heading near the beginning of a text, with its own markup.

    Example:
        >>> first_heading("Guide\n=====\n"), first_heading("## A *b* ##"), first_heading("No.")
        ('Guide', 'A *b*', None)
    """
    lines = text[:_NEAR].splitlines()
    fenced = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (atx := _ATX.match(line)) and atx[1]:
            return atx[1]
        elif not fenced and line.strip() and _UNDERLINE.match(below):
            name = line.strip()
            if len(below.strip()) >= len(name) and not _UNDERLINE.match(line):
                return name
    return None
