"""All readers by suffix. A new one is a file beside this one and a line here, or a call."""

from __future__ import annotations

from s3_retriever.quoting import quoted
from s3_retriever.readers import code, docx, eml, epub, html, json, pdf, pptx, table, text
from s3_retriever.readers.base import Reader

__all__ = ["reader_for", "register_reader", "suffixes"]

_READERS: dict[str, Reader] = {}


def register_reader(reader: Reader) -> None:
    """Make a reader known under its suffixes; where one has a reader already, it takes its place.

    Raises:
        ValueError: a suffix that is not lower case with a dot in front, which no file would match.

    Example:
        >>> from s3_retriever.readers import Content
        >>> register_reader(Reader((".log",), lambda data: Content(data.decode())))
        >>> ".log" in suffixes()
        True
        >>> del _READERS[".log"]
    """
    for suffix in reader.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            raise ValueError(f"a suffix is lower case and begins with a dot, not {quoted(suffix)}")
    _READERS.update(dict.fromkeys(reader.suffixes, reader))


def reader_for(suffix: str, data: bytes) -> Reader:
    """What reads a file: the reader that knows how it begins, else its suffix's, else plain text.

    Args:
        suffix: of the file's name, in any case.
        data: the file's bytes.
    """
    for reader in dict.fromkeys(_READERS.values()):
        if reader.magic is not None and data.startswith(reader.magic):
            return reader
    return _READERS.get(suffix.lower(), text.READER)


def suffixes() -> tuple[str, ...]:
    """Kinds of files that are picked up in a folder, lower case."""
    return tuple(_READERS)


for _format in (text, html, pdf, docx, pptx, epub, eml, table, json, code):
    register_reader(_format.READER)
