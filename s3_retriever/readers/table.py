"""Tables of values: each row is a line that says its columns' names.

A row of a CSV file means nothing without the head of the table, which stands far away from it, and
a span is often a row. So a row becomes ``name: value | name: value``. Where the first row is no
head (a number in it, an empty cell, a name that is twice, one column) the row is its cells alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from s3_retriever.readers.base import Content, Reader, UnreadableError
from s3_retriever.readers.tables import row_line
from s3_retriever.readers.text import plain_content

__all__ = ["READER"]

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 20
"""Rows from which the delimiter is told."""
_NUMBER = re.compile(r"[-+(]?[\d.,\s%€$£()/:-]*\d[\d.,\s%€$£()/:-]*")
_LONGEST_NAME = 80


def _read(data: bytes) -> Content:
    content = plain_content(data)
    lines = content.text.splitlines(keepends=True)
    delimiter = _delimiter("".join(lines[:_SAMPLE]))
    try:
        table = csv.reader(io.StringIO(content.text, newline=""), delimiter=delimiter)
        rows = [row for row in table if any(cell.strip() for cell in row)]
    except csv.Error as e:
        raise UnreadableError("it is no table of rows and quoted cells; save it as .txt") from e
    if not rows:
        return content
    head = [" ".join(name.split()) for name in rows[0]]
    if len(rows) > 1 and _is_head(head):
        lines = [_named(head, row) for row in rows[1:]]
    else:
        lines = [row_line(row) for row in rows]
    return Content("\n".join(filter(None, lines)), None, content.metadata, content.note)


def _delimiter(sample: str) -> str:
    """The sign that cuts most rows into the same number of cells, more than one."""

    def evenness(delimiter: str) -> tuple[int, int]:
        try:
            rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
        except csv.Error:
            return 0, 0
        counts = Counter(len(row) for row in rows if len(row) > 1)
        cells, times = max(counts.items(), key=lambda item: item[::-1], default=(0, 0))
        return times, cells

    return max(_DELIMITERS, key=evenness)


def _is_head(names: Sequence[str]) -> bool:
    return 1 < len(set(names)) == len(names) and all(
        name and len(name) <= _LONGEST_NAME and not _NUMBER.fullmatch(name) for name in names
    )


def _named(head: Sequence[str], row: Sequence[str]) -> str:
    """Cells behind their names; those of a row that is longer than the head have none."""
    cells = [" ".join(cell.split()) for cell in row]
    named = [f"{name}: {cell}" for name, cell in zip(head, cells, strict=False) if cell]
    return " | ".join([*named, *filter(None, cells[len(head) :])])


READER = Reader((".csv", ".tsv"), _read)
"""Any delimiter: commas, tabs, semicolons, bars."""
