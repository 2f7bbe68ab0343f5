"""PowerPoint files, by python-pptx: what stands on each slide, and its notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from s3_retriever.pages import PAGE_STARTS, joined_pages
from s3_retriever.readers.base import Content, Reader, UnreadableError, needs_files_extra
from s3_retriever.readers.tables import row_line
from s3_retriever.readers.zipped import opened, sound

__all__ = ["READER"]


def _read(data: bytes) -> Content:
    try:
        import pptx
    except ImportError as e:
        raise needs_files_extra("PowerPoint", e) from e
    with opened(data, "PowerPoint file", ".pptx") as archive:
        if not any(name.startswith("ppt/") for name in archive.namelist()):
            raise UnreadableError("it is a zip archive, but no PowerPoint file")
    title = None
    slides: list[str] = []
    with sound("PowerPoint file"):
        for slide in pptx.Presentation(io.BytesIO(data)).slides:
            heading = slide.shapes.title
            name = " ".join(heading.text_frame.text.split()) if heading is not None else ""
            title = title or name
            blocks = [f"# {name}"] if name else []
            said_already = None if heading is None else heading.element
            blocks += filter(None, _blocks(slide.shapes, said_already))
            notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
            if notes is not None and (said := _lines(notes)):
                blocks.append(f"Notes: {said}")
            slides.append("\n\n".join(blocks))
    text, starts = joined_pages(slides)
    if not text:
        raise UnreadableError("it holds no text, perhaps only pictures; run OCR on a PDF of it")
    return Content(text, title or None, {PAGE_STARTS: starts})


def _blocks(shapes: Any, title: Any) -> Iterator[str]:
    """The text of shapes, those of groups too; the title's element has been said."""
    todo = list(reversed(list(shapes)))
    while todo:
        shape = todo.pop()
        if hasattr(shape, "shapes"):  # a group
            todo += reversed(list(shape.shapes))
        elif shape.element is title or _is_furniture(shape):  # ids of shapes may stand twice
            continue
        elif getattr(shape, "has_table", False):
            rows = (row_line(cell.text for cell in row.cells) for row in shape.table.rows)
            yield "\n".join(filter(None, rows))
        elif getattr(shape, "has_chart", False) and shape.chart.has_title:
            yield _lines(shape.chart.chart_title.text_frame)
        elif shape.has_text_frame:
            yield _lines(shape.text_frame)


def _is_furniture(shape: Any) -> bool:
    """Whether it is the number, the date or the footer that every slide has."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KINDS

    furniture = (KINDS.SLIDE_NUMBER, KINDS.DATE, KINDS.FOOTER)
    return shape.is_placeholder and shape.placeholder_format.type in furniture


def _lines(frame: Any) -> str:
    """Paragraphs as lines, those below others indented."""
    lines = (
        "  " * min(paragraph.level, 8) + " ".join(paragraph.text.split())
        for paragraph in frame.paragraphs
        if paragraph.text.strip()
    )
    return "\n".join(lines).strip()


READER = Reader((".pptx", ".pptm"), _read)
"""Titles of slides as headings, tables as rows, notes; a slide is a page."""
