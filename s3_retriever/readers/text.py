"""Plain text, Markdown and reStructuredText: Unicode, kept exactly."""

from __future__ import annotations

from s3_retriever.readers.base import Content, Reader, UnreadableError
from s3_retriever.readers.encodings import by_mark
from s3_retriever.readers.headings import first_heading

__all__ = ["READER", "decode"]

_BINARY = "it is a binary file; only text, HTML and PDF can be read"


def decode(data: bytes) -> str:
    """Strict UTF-8, or what a byte order mark says (UTF-16, UTF-32); without the mark.

    Raises:
        UnreadableError: it is something else; the message says what it might be.
    """
    try:
        marked = by_mark(data)
        text = data.decode("utf-8") if marked is None else marked
    except UnicodeDecodeError as e:
        if b"\x00" in data:
            raise UnreadableError(_BINARY) from e
        raise UnreadableError(
            f"it is not {e.encoding.upper()} (byte {e.start} is 0x{e.object[e.start]:02x}); if it "
            "is text, convert it from what it is in, on Windows often: "
            "iconv -f WINDOWS-1252 -t UTF-8 FILE"
        ) from e
    if "\x00" in text:
        raise UnreadableError(_BINARY)
    return text


def _read(data: bytes) -> Content:
    text = decode(data)
    return Content(text, first_heading(text))


READER = Reader((".txt", ".text", ".md", ".markdown", ".rst"), _read)
"""Plain text with light markup, or none."""
