"""Word files, by python-docx and a walk of our own through their XML.

python-docx opens the package and knows the styles. Its paragraphs have no text of content controls,
tracked insertions, text boxes and footnotes, which the walk has. mammoth has them as well; it was
measured inside markitdown, which took many times as long (docs/files.md).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from s3_retriever.readers.base import Content, Reader, UnreadableError, needs_files_extra
from s3_retriever.readers.tables import Cell, row_lines
from s3_retriever.readers.zipped import opened, sound

__all__ = ["READER"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_FOOTNOTES = re.compile("/(?:foot|end)notes$")
_SIGNS = {
    **{f"{_W}{name}": "\t" for name in ("tab", "ptab")},
    **{f"{_W}{name}": "\n" for name in ("br", "cr")},
    f"{_W}noBreakHyphen": "-",
}
_LEFT_OUT = {f"{_W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "txbxContent")} | {
    _FALLBACK
}
"""Of a paragraph: what was deleted or moved away, and what stands in a box beside it."""
_LONG = 100
"""Characters of a cell over several rows that is not said in each of them."""
_DEPTH = 20
"""Styles that a style may be based on, one on the other; tables inside one another."""


def _read(data: bytes) -> Content:
    try:
        import docx
    except ImportError as e:
        raise needs_files_extra("Word", e) from e
    with opened(data, "Word file", ".docx") as archive:
        if not any(name.startswith("word/") for name in archive.namelist()):
            raise UnreadableError("it is a zip archive, but no Word file")
    with sound("Word file"):
        walk = _Walk(docx.Document(io.BytesIO(data)))
        blocks = list(walk.blocks())
    text = _joined(blocks)
    if not text:
        raise UnreadableError("it holds no text, perhaps only pictures; run OCR on a PDF of it")
    return Content(text, walk.title)


def _joined(blocks: list[tuple[str, bool]]) -> str:
    """Blocks with an empty line between them, items of a list one below the other."""
    pieces: list[str] = []
    before = False
    for text, item in blocks:
        if pieces:
            pieces.append("\n" if item and before else "\n\n")
        pieces.append(text)
        before = item
    return "".join(pieces)


class _Walk:
    """The blocks of a document in their order."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._styles: dict[str | None, tuple[int, Any]] = {}
        self._notes: set[str] = set()
        self.title: str | None = None

    def blocks(self) -> Iterator[tuple[str, bool]]:
        """Text of each, and whether it is an item of a list."""
        yield from self._inside(self._document.element.body, 0)
        for part in self._note_parts():
            for note in part.iterchildren(f"{_W}footnote", f"{_W}endnote"):
                mark = _mark(note)
                text = " ".join(text for text, _ in self._inside(note, 0))
                if mark in self._notes and text:
                    yield f"{mark}: {text}", True

    def _inside(self, parent: Any, depth: int) -> Iterator[tuple[str, bool]]:
        if depth > _DEPTH:
            raise UnreadableError(f"its tables and boxes are nested more than {_DEPTH} times")
        todo = [parent]
        while todo:
            node = todo.pop()
            if node.tag == f"{_W}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{_W}tbl":
                if table := "\n".join(self._table(node, depth + 1)):
                    yield table, False
            elif node.tag not in _LEFT_OUT or node is parent:  # controls, insertions, the body
                todo += reversed(list(node))

    def _paragraph(self, paragraph: Any, depth: int) -> Iterator[tuple[str, bool]]:
        text, boxes = self._text(paragraph)
        if text:
            level, numbering = self._style(paragraph)
            if (outline := paragraph.find(f"{_W}pPr/{_W}outlineLvl")) is not None:
                level = _outline(outline)
            if (own := paragraph.find(f"{_W}pPr/{_W}numPr")) is not None:
                numbering = own
            if level:
                text = " ".join(text.split())
                self.title = self.title or text
                yield f"{'#' * level} {text}", False
            elif (indent := _indent(numbering)) is not None:
                yield f"{'  ' * indent}- {text}", True
            else:
                yield text, False
        for box in boxes:
            yield from self._inside(box, depth + 1)

    def _text(self, paragraph: Any) -> tuple[str, list[Any]]:
        """A paragraph's own text, and the boxes that are anchored in it."""
        pieces: list[str] = []
        boxes = []
        todo = list(reversed(list(paragraph)))
        while todo:
            node = todo.pop()
            if node.tag == f"{_W}t":
                pieces.append(node.text or "")
            elif node.tag in _SIGNS:
                pieces.append(_SIGNS[node.tag])
            elif node.tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
                self._notes.add(_mark(node))
                pieces.append(_mark(node))
            elif node.tag == f"{_W}txbxContent":
                boxes.append(node)
            elif node.tag not in _LEFT_OUT:
                todo += reversed(list(node))
        return "".join(pieces).strip(), boxes

    def _style(self, paragraph: Any) -> tuple[int, Any]:
        """What a paragraph's style says: the level of a heading or 0, and its numbering or none."""
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        style_id = None if style is None else style.get(f"{_W}val")
        if style_id not in self._styles:
            chain = list(self._chain(style_id))
            found = (style.find(f"{_W}pPr/{_W}numPr") for style in chain)
            numbering = next((numbered for numbered in found if numbered is not None), None)
            self._styles[style_id] = _level(chain), numbering
        return self._styles[style_id]

    def _chain(self, style_id: str | None) -> Iterator[Any]:
        """A style and those it is based on."""
        styles = self._document.styles.element
        for _ in range(_DEPTH):
            style = None if style_id is None else styles.get_by_id(style_id)
            if style is None:
                return
            yield style
            base = style.find(f"{_W}basedOn")
            style_id = None if base is None else base.get(f"{_W}val")

    def _table(self, table: Any, depth: int) -> Iterator[str]:
        rows, size = [], 0
        above: dict[int, str] = {}
        for row in _below(table, f"{_W}tr"):
            cells: list[Cell] = []
            column = 0
            for cell in _below(row, f"{_W}tc"):
                width = _number(cell.find(f"{_W}tcPr/{_W}gridSpan"), 1)
                width = width if 0 < width <= 64 else 1
                merged = cell.find(f"{_W}tcPr/{_W}vMerge")
                if merged is not None and merged.get(f"{_W}val", "continue") == "continue":
                    text = above.get(column, "")
                else:
                    text = " ".join(text for text, _ in self._inside(cell, depth))
                    size += len(text)
                above[column] = text if len(text) < _LONG else ""
                cells.append(Cell(text, width))
                column += width
            rows.append(cells)
        yield from row_lines(rows, 200 + 10 * size)

    def _note_parts(self) -> Iterator[Any]:
        from docx.oxml import parse_xml

        for relation in self._document.part.rels.values():
            if _FOOTNOTES.search(relation.reltype) and not relation.is_external:
                yield parse_xml(relation.target_part.blob)


def _level(chain: list[Any]) -> int:
    """1 to 6 for a heading, 0 for other styles; names are English in Word of any language."""
    for style in chain:
        name = style.find(f"{_W}name")
        called = "" if name is None else (name.get(f"{_W}val") or "").lower()
        if heading := re.fullmatch("heading ([1-9])", called):
            return min(int(heading[1]), 6)
        if called == "title":
            return 1
        if (outline := style.find(f"{_W}pPr/{_W}outlineLvl")) is not None:
            return _outline(outline)
    return 0


def _indent(numbering: Any) -> int | None:
    """How deep an item of a list stands; ``None`` for what is none."""
    if numbering is None:
        return None
    number, level = numbering.find(f"{_W}numId"), numbering.find(f"{_W}ilvl")
    if number is not None and number.get(f"{_W}val") == "0":  # taken out of its list
        return None
    return min(_number(level), 8)


def _below(parent: Any, tag: str) -> Iterator[Any]:
    """Rows of a table, cells of a row: in content controls too, in no deeper ones."""
    todo = [parent]
    while todo:
        node = todo.pop()
        if node.tag == tag:
            yield node
        elif node is parent or node.tag not in (f"{_W}tbl", f"{_W}tc", f"{_W}p", f"{_W}del"):
            todo += reversed(list(node))


def _outline(element: Any) -> int:
    """Levels begin at 0; 9 is text."""
    level = _number(element, 9)
    return min(level + 1, 6) if 0 <= level < 9 else 0


def _number(element: Any, default: int = 0) -> int:
    said = "" if element is None else element.get(f"{_W}val") or ""
    return int(said) if re.fullmatch("[0-9]{1,4}", said) else default


def _mark(note: Any) -> str:
    kind = "e" if "endnote" in note.tag else ""
    return f"[^{kind}{_id(note)}]"


def _id(note: Any) -> str:
    said = note.get(f"{_W}id") or ""
    return said if re.fullmatch("[0-9]{1,6}", said) else "?"


READER = Reader((".docx",), _read)
"""Headings as in Markdown, tables as rows, items of lists, footnotes, text boxes."""
