"""Plain text, Markdown and reStructuredText: kept exactly, and its encoding told if it is a guess.

Latin-1 and its kin have no mark by which they are known, so what is not Unicode is guessed by
`charset-normalizer`. A guess is never silent: the document says ``encoding``, and whoever reads the
files is told. What holds control characters is a binary file, whatever letters it would show.
"""

from __future__ import annotations

import re

from s3_retriever.readers.base import Content, Reader, UnreadableError, needs_files_extra
from s3_retriever.readers.encodings import by_look, by_mark, has_mark
from s3_retriever.readers.headings import first_heading

__all__ = ["READER", "decode", "plain_content", "with_guess"]

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
_LOOKS = (
    (b"PK\x03\x04", "a zip archive; an office file needs its own suffix, .docx say"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted office file; save it as .docx, .pptx or PDF"),
    (b"\x1f\x8b", "an archive (gzip); unpack it"),
    (b"7z\xbc\xaf", "an archive (7-Zip); unpack it"),
    (b"Rar!", "an archive (RAR); unpack it"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database (SQLite)"),
)
"""How binary files begin that stand among texts."""


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
            raise UnreadableError(_binary(data)) from e
        raise UnreadableError(
            f"it is not {e.encoding.upper()} (byte {e.start} is 0x{e.object[e.start]:02x}); if it "
            "is text, convert it from what it is in, on Windows often: "
            "iconv -f WINDOWS-1252 -t UTF-8 FILE"
        ) from e
    if "\x00" in text:
        raise UnreadableError(_binary(data))
    return text


def plain_content(data: bytes) -> Content:
    r"""Text of any encoding as it is; the guess is told where it is not Unicode.

    Raises:
        UnreadableError: it is binary, or in no encoding that can be told.

    Example:
        >>> content = plain_content("Größe".encode("latin-1"))
        >>> content.text, content.metadata["encoding"]
        ('Größe', 'windows-1252')
    """
    try:
        return Content(decode(data))
    except UnreadableError as refused:
        if has_mark(data) or b"\x00" in data:
            raise
        try:
            guess = by_look(data)
        except ImportError as e:
            missing = needs_files_extra("text that is not UTF-8", e)
            raise UnreadableError(f"{refused}; or let it be guessed: {missing}") from e
        if guess is None:
            raise
        if _CONTROLS.search(guess[0]):
            raise UnreadableError(_binary(data)) from refused
        return with_guess(Content(guess[0]), guess[1])


def with_guess(content: Content, encoding: str) -> Content:
    """Content that was decoded by a guess, which it says."""
    return Content(
        content.text,
        content.title,
        {**content.metadata, "encoding": encoding},
        f"it is not UTF-8 and does not say what it is; read as {encoding}, by its letters. If that "
        "is wrong, convert it: iconv -f ENCODING -t UTF-8 FILE",
    )


def _binary(data: bytes) -> str:
    looks = (what for begin, what in _LOOKS if data.startswith(begin))
    return f"it is a binary file, {next(looks, 'no text in any encoding that can be told')}"


def _read(data: bytes) -> Content:
    content = plain_content(data)
    title = first_heading(content.text)
    return Content(content.text, title, content.metadata, content.note)


READER = Reader((".txt", ".text", ".md", ".markdown", ".rst"), _read)
"""Plain text with light markup, or none."""
