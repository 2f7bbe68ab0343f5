"""Pages of a document: where each begins is kept in its metadata, and a span is told by number.

A PDF's document has the field ``page_starts``: the offset of each page's first character, in order.
What is found in it says ``page_label`` instead, which is the name that LangChain's and LlamaIndex's
own readers of PDFs give it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["PAGE_LABEL", "PAGE_STARTS", "joined_pages", "page_of", "pages_of", "span_metadata"]

PAGE_STARTS = "page_starts"
"""The field of a document: the first character of each page; an empty one's is that of the next."""
PAGE_LABEL = "page_label"
"""The field of a span: ``3``, or ``3-4`` if it goes on."""
_BETWEEN = "\n\n"


def page_of(metadata: Mapping[str, Any], offset: int) -> int | None:
    """The number of the page on which a character stands, counted from 1 as readers show them.

    Args:
        metadata: of the document.
        offset: of the character in the document's text.

    Returns:
        ``None`` where the metadata tell no pages.

    Example:
        >>> [page_of({"page_starts": [0, 100, 250]}, offset) for offset in (0, 99, 100, 900)]
        [1, 1, 2, 3]
    """
    starts = _starts(metadata)
    return max(bisect_right(starts, offset), 1) if starts else None


def pages_of(metadata: Mapping[str, Any], start: int, end: int) -> tuple[int, int] | None:
    """The numbers of the pages on which a span begins and ends.

    Args:
        metadata: of the document.
        start: the span's first character.
        end: one past its last.

    Example:
        >>> pages_of({"page_starts": [0, 100, 250]}, 90, 110)
        (1, 2)
    """
    first, last = page_of(metadata, start), page_of(metadata, max(start, end - 1))
    return None if first is None or last is None else (first, last)


def span_metadata(metadata: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    """A document's metadata as a span in it has them: the span's pages, not where all begin.

    Example:
        >>> span_metadata({"title": "Mill", "page_starts": [0, 100, 250]}, 110, 120)
        {'title': 'Mill', 'page_label': '2'}
    """
    pages = pages_of(metadata, start, end)
    if pages is None:
        return dict(metadata)
    first, last = pages
    own = {name: value for name, value in metadata.items() if name != PAGE_STARTS}
    return {**own, PAGE_LABEL: str(first) if first == last else f"{first}-{last}"}


def joined_pages(pages: Iterable[str]) -> tuple[str, list[int]]:
    r"""The text of all pages, and where each of them begins.

    Example:
        >>> joined_pages(["One.", "", "Three."])
        ('One.\n\nThree.', [0, 6, 6])
    """
    pieces: list[str] = []
    starts: list[int] = []
    at = 0
    for page in pages:
        starts.append(at)
        if page:
            pieces.append(page)
            at += len(page) + len(_BETWEEN)
    return _BETWEEN.join(pieces), starts


def _starts(metadata: Mapping[str, Any]) -> Sequence[int]:
    """Metadata are anybody's: what is no ascending list of integers tells no pages."""
    starts = metadata.get(PAGE_STARTS)
    if not isinstance(starts, (list, tuple)) or not all(type(start) is int for start in starts):
        return ()
    return starts if all(a <= b for a, b in pairwise(starts)) else ()
