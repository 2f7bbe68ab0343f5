"""The text of a tree of HTML as a browser lays it out, tables as rows of cells."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from s3_retriever.readers.tables import Cell, row_lines

__all__ = ["laid_out"]

_UNSEEN = re.compile("audio|canvas|iframe|noscript|object|script|style|svg|template|title|video")
_BLOCK = re.compile(
    "address|article|aside|blockquote|body|details|dialog|div|dl|fieldset|figure|footer|form|"
    "h[1-6]|header|hr|main|nav|ol|p|pre|section|table|ul"
)
_ROW = re.compile("br|caption|dd|dt|figcaption|legend|li|option|summary|tbody|tfoot|thead|tr")
_CELL = re.compile("td|th")
_GAPS = ("", " | ", "\n", "\n\n")
"""What stands between two pieces of text, from weak to strong; where two meet, the stronger."""


def laid_out(tree: Any) -> str:
    """Text with an empty line between blocks, a line for each row or item, bars between cells.

    A row is a line if each of its cells is one block of text. Cells of several paragraphs, and
    those that hold a table, are columns of a page: they are read one after the other.

    Args:
        tree: of Beautiful Soup.
    """
    from bs4.element import NavigableString, Tag

    inner = _inner_tables(tree)
    page = _Flow()
    table: _Table | None = None
    todo: list[tuple[Any, bool]] = [(tree, False)]  # a stack: pages nest deeper than Python
    while todo:
        node, preformatted = todo.pop()
        if isinstance(node, int):
            if flow := table.cell if table else page:
                flow.gap = max(flow.gap, node)
        elif isinstance(node, _Table):
            page.add(node.text(), preformatted=True)
            table = None
        elif isinstance(node, Tag) and not _UNSEEN.fullmatch(node.name):
            around = (_gap_around(node.name), False)
            inside = preformatted or node.name == "pre"
            children = ((child, inside) for child in reversed(node.contents))
            if id(node) in inner:
                table = _Table()
                page.gap = 3
                todo += [around, (table, False), *children]
            elif table and _CELL.fullmatch(node.name):
                table.begin_cell(_reach(node, "colspan"), _reach(node, "rowspan"))
                todo += children
            elif table and node.name in ("tr", "caption"):
                table.begin_row()
                todo += [(table.row_end, False), *children]
            else:
                todo += [around, *children, around]
        elif type(node) is _RowEnd and table:
            table.begin_row()
        elif type(node) is NavigableString:  # not a comment or another of its subclasses
            if table and not table.cell and not node.isspace():
                table.begin_cell()
            if flow := table.cell if table else page:
                flow.add(str(node), preformatted)
    return page.text()


class _RowEnd:
    """Behind it a row is over, whatever comes."""


class _Flow:
    """Pieces of text and the gaps between them."""

    def __init__(self, columns: int = 1, rows: int = 1) -> None:
        self.columns = columns
        self.rows = rows
        """How far it reaches, if it is a cell."""
        self.gap = 0
        """An index of ``_GAPS``: at least this before what comes."""
        self.lines = False
        """Whether it holds lines that are not to be joined."""
        self._pieces: list[str] = []

    def add(self, text: str, preformatted: bool) -> None:
        """Text as it is, or with its white space as one blank."""
        pieces = self._pieces
        text = text if preformatted else re.sub(r"[ \t\r\n\f]+", " ", text)
        if self.gap or not pieces:
            text = text.lstrip("\n" if preformatted else " ")
        elif not preformatted and pieces[-1][-1].isspace():
            text = text.lstrip(" ")
        if text and pieces and self.gap:
            pieces[-1] = pieces[-1].rstrip(" \n") + _GAPS[self.gap]
        if text:
            pieces.append(text)
            self.gap = 0
            self.lines = self.lines or (preformatted and "\n" in text.strip())

    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces).replace("\x00", "").strip()


class _Table:
    """Rows of cells, by the tags that begin them: pages leave out those that end them."""

    row_end = _RowEnd()

    def __init__(self) -> None:
        self._rows: list[list[_Flow]] = [[]]

    @property
    def cell(self) -> _Flow | None:
        """The last one, if the row has one."""
        return self._rows[-1][-1] if self._rows[-1] else None

    def begin_cell(self, columns: int = 1, rows: int = 1) -> None:
        self._rows[-1].append(_Flow(columns, rows))

    def begin_row(self) -> None:
        if self._rows[-1]:
            self._rows.append([])

    def text(self) -> str:
        """Lines of rows; blocks for rows that do not fit on one."""
        most = 200 + 10 * sum(len(cell.text()) for row in self._rows for cell in row)
        parts: list[str] = []
        for blocks, group in groupby(self._rows, key=lambda row: any(map(_is_block, row))):
            if blocks:
                parts += [cell.text() for row in group for cell in row]
            else:
                cells = ([Cell(c.text(), c.columns, c.rows) for c in row] for row in group)
                parts.append("\n".join(row_lines(cells, most)))
        return "\n\n".join(filter(None, parts))


def _is_block(cell: _Flow) -> bool:
    return cell.lines or _GAPS[3] in cell.text()


def _inner_tables(tree: Any) -> set[int]:
    """Tables that hold no table."""
    from bs4.element import Tag

    inner: set[int] = set()
    around: list[int] = []
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        if node is None:
            around.pop()
        elif isinstance(node, Tag):
            if node.name == "table":
                inner.difference_update(around[-1:])
                inner.add(id(node))
                around.append(id(node))
                todo.append(None)
            todo += node.contents
    return inner


def _reach(cell: Any, name: str) -> int:
    """How many columns or rows a cell says it takes."""
    said = str(cell.get(name, "")).strip()
    return max(int(said), 1) if re.fullmatch("[0-9]{1,5}", said) else 1


def _gap_around(tag: str) -> int:
    """An index of ``_GAPS``."""
    if _BLOCK.fullmatch(tag):
        return 3
    if _ROW.fullmatch(tag):
        return 2
    return 1 if _CELL.fullmatch(tag) else 0
