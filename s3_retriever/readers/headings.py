"""The headings of Markdown and reStructuredText."""

from __future__ import annotations

import re

from s3_retriever.text import plain_lines

__all__ = ["first_heading"]

_NEAR = 4000
"""Characters in which a title is looked for."""

_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t#]*$")
_UNDERLINE = re.compile(r"([=\-~^*#\"'+.:_`])\1{2,}\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FRONT_MATTER = re.compile(
    r"(?:---[ \t]*\n(?![ \t]*\n)(?:.*\n)*?(?:---|\.\.\.)|\+\+\+[ \t]*\n(?:.*\n)*?\+\+\+)[ \t]*"
    r"(?:\n|\Z)"
)
"""Settings of a page in YAML or TOML, in which ``#`` begins a comment."""


def first_heading(text: str) -> str | None:
    r"""The first heading near the beginning of a text, with its own markup.

    Example:
        >>> first_heading("Guide\n=====\n"), first_heading("## A *b* ##"), first_heading("No.")
        ('Guide', 'A *b*', None)
    """
    plain = plain_lines(text).text
    matter = _FRONT_MATTER.match(plain)
    begin = matter.end() if matter else 0
    lines = plain[begin : begin + _NEAR].split("\n")
    fence = ""
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence):  # the same sign, at least as often
                fence = ""
        elif not fence and (atx := _ATX.match(line)) and atx[1]:
            return atx[1]
        elif not fence and line.strip() and _UNDERLINE.match(below):
            name = line.strip()
            if len(below.strip()) >= len(name) and not _UNDERLINE.match(line):
                return name
    return None
