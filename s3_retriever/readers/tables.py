"""Rows of cells as lines, and cells that reach over several rows or columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Cell", "row_line", "row_lines"]

_MOST_COLUMNS = 200
"""A cell that claims to be wider, or stands further right, is where it is in the row."""


@dataclass(frozen=True)
class Cell:
    """A cell's text, and how far it reaches."""

    text: str
    columns: int = 1
    rows: int = 1


def row_line(cells: Iterable[str]) -> str:
    r"""Cells on one line; empty ones at the end are left out.

    Example:
        >>> row_line(["Oil \n price", "", "5 €", ""])
        'Oil price |  | 5 €'
    """
    texts = [" ".join(cell.split()) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return " | ".join(texts).lstrip(" ")


def row_lines(rows: Iterable[Iterable[Cell]], most: int) -> Iterator[str]:
    """Rows as lines whose cells stand in their columns.

    What stands in several rows is said in each, so that every line is whole; what stands in several
    columns is said in the first of them, and the others are empty.

    Args:
        rows: from above.
        most: characters that repeated cells may add, since a few bytes can ask for millions.

    Example:
        >>> rows = [[Cell("2019", rows=2), Cell("Q1"), Cell("5")], [Cell("Q2"), Cell("6")]]
        >>> list(row_lines(rows, 100))
        ['2019 | Q1 | 5', '2019 | Q2 | 6']
    """
    above: dict[int, tuple[str, int]] = {}  # by column: the text that goes on, and for how long
    for row in rows:
        cells = deque(row)
        most -= len(above)
        above = above if most > 0 else {}
        last = max(above, default=-1) if cells else -1
        line: list[str] = []
        below = {at: (text, left - 1) for at, (text, left) in above.items() if left > 1}
        while cells or (len(line) <= last and most > 0):
            if len(line) in above:
                text = above[len(line)][0] if most > 0 else ""
                most -= len(text) + 3
                line.append(text)
                continue
            if not cells:
                line.append("")
                most -= 3
                continue
            cell = cells.popleft()
            width = cell.columns if 0 < cell.columns <= _MOST_COLUMNS - len(line) else 1
            most -= 3 * (width - 1)
            texts = [cell.text, *[""] * (width - 1 if most > 0 else 0)]
            if cell.rows > 1:
                below.update((len(line) + n, (text, cell.rows - 1)) for n, text in enumerate(texts))
            line += texts
        above = below
        if text := row_line(line):
            yield text
