"""What stands above a paragraph: its first line, a heading before it, or its document's title."""

from __future__ import annotations

import re

from s3_retriever.retrieval.memory import Memory
from s3_retriever.storage.base import CodeStore
from s3_retriever.text import first_line
from s3_retriever.types import SpanRef, TextBounds

__all__ = ["Headings", "heading_line"]

_LONGEST = 100
"""Characters of a heading."""
_MARKS = re.compile(r"^[#*=\s]+|[#*=\s]+$")
"""What Markdown, wikis and reStructuredText put around a heading."""
_ABOVE = 8
"""Paragraphs above in which a heading is looked for: a section's later ones are under it, too."""


def heading_line(line: str) -> str:
    """What a line says as a heading; empty if it is none.

    A heading is short, has a letter and does not end as a sentence does.

    Example:
        >>> heading_line("## Ed Wood (film)"), heading_line("It rained all day.")
        ('Ed Wood (film)', '')
    """
    if len(line) > _LONGEST:
        return ""
    said = _MARKS.sub("", line)
    if not said or said[-1] in ".!?:;,。！？" or not any(c.isalpha() for c in said):
        return ""
    return said


class Headings:
    """Looks headings up for one question; every paragraph's once for many questions."""

    def __init__(self, store: CodeStore, memory: Memory | None = None) -> None:
        """Take the index's state, and what is remembered of it."""
        self._store = store
        self._memory = Memory() if memory is None else memory

    def of(self, doc_id: str, paragraph: int) -> str:
        """The heading of a paragraph, by its number in its document; empty if it has none.

        That is its first line, if more follows; else a heading that stands alone among the
        paragraphs above; else what the document's metadata call its ``title``.
        """
        key = ("heading", doc_id, paragraph)
        return self._memory.kept(key, lambda: self._look_up(doc_id, paragraph), len)

    def _look_up(self, doc_id: str, paragraph: int) -> str:
        bounds = self._store.bounds(doc_id)
        first, more = self._first_line(doc_id, bounds, paragraph)
        if more and (heading := heading_line(first)):
            return heading
        for above in range(paragraph - 1, max(-1, paragraph - 1 - _ABOVE), -1):
            line, more = self._first_line(doc_id, bounds, above)
            if heading := heading_line(line):
                return heading if not more else ""  # another paragraph's own
        title = self._store.metadata(doc_id).get("title")
        return title if isinstance(title, str) and len(title) <= _LONGEST else ""

    def _first_line(self, doc_id: str, bounds: TextBounds, paragraph: int) -> tuple[str, bool]:
        """A paragraph's first line, as far as a heading can reach, and whether more follows."""
        if not 0 <= paragraph < len(bounds.paragraphs):
            return "", False
        start, end = (int(at) for at in bounds.paragraphs[paragraph])
        text = self._store.text(SpanRef(doc_id, start, min(end, start + _LONGEST + 1)))
        line, below = first_line(text)
        return line.rstrip(), bool(below) or end > start + _LONGEST + 1
