"""What a reader of files is: the suffixes it takes, and how it makes text of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Content", "Reader", "UnreadableError"]


@dataclass(frozen=True)
class Content:
    """What one file holds."""

    text: str
    title: str | None = None
    """Where the file has one; its name stands in for it."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else the document is to have, :data:`~s3_retriever.pages.PAGE_STARTS` say."""
    note: str | None = None
    """One phrase on how it was read, where that may be wrong."""


class UnreadableError(Exception):
    """Why a file is left out: one phrase about the file, which says what to do about it."""


@dataclass(frozen=True)
class Reader:
    """A format of files. One file each, and a line in :mod:`~s3_retriever.readers.registry`.

    Example:
        >>> upper = Reader((".shout",), lambda data: Content(data.decode().upper()))
        >>> upper.read(b"hello").text
        'HELLO'
    """

    suffixes: tuple[str, ...]
    """Lower case, with the dot."""
    read: Callable[[bytes], Content]
    """Makes text of a file's bytes (never none); raises :class:`UnreadableError`. A library that
    it needs is imported in it, so that nobody pays for a format that is not there."""
    magic: bytes | None = None
    """What a file of the format begins with, whatever its name."""


def needs_files_extra(what: str, error: ImportError) -> UnreadableError:
    """The reason for a file whose format's library is not installed."""
    return UnreadableError(
        f'{what} needs the package {error.name}: pip install "s3-retriever[files]"'
    )
