"""Plain text, Markdown and reStructuredText: UTF-8, kept exactly."""

from __future__ import annotations

import codecs

from s3_retriever.readers.base import Content, Reader, UnreadableError
from s3_retriever.readers.headings import first_heading

__all__ = ["READER", "decode"]

_BINARY = "it is a binary file; only text, HTML and PDF can be read"


def decode(data: bytes) -> str:
    """Strict UTF-8 without a byte order mark.

    Raises:
        UnreadableError: it is something else; the message says what it might be.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableError("it is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        if b"\x00" in data:
            raise UnreadableError(_BINARY) from e
        raise UnreadableError(
            f"it is not UTF-8 (byte {e.start} is 0x{data[e.start]:02x}); if it is text, convert "
            "it: iconv -f ISO-8859-1 -t UTF-8 FILE"
        ) from e
    if "\x00" in text:
        raise UnreadableError(_BINARY)
    return text


def _read(data: bytes) -> Content:
    text = decode(data)
    return Content(text, first_heading(text))


READER = Reader((".txt", ".text", ".md", ".markdown", ".rst"), _read)
"""Plain text with light markup, or none."""
