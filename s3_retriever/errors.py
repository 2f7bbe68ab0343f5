"""The errors a caller can meet; each message says what is wrong and what to do."""

from __future__ import annotations

__all__ = [
    "EndogenousError",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexStorageError",
    "InputError",
    "ModelError",
    "ProfileError",
]


class EndogenousError(Exception):
    """Base class of every error raised on purpose by this library."""


class InputError(EndogenousError, ValueError):
    """A document, question or setting that cannot be used; names the field or the document."""


class ModelError(EndogenousError):
    """A language model that cannot be found, read, or whose architecture is not supported."""


class ProfileError(EndogenousError):
    """A profile that is missing, damaged, or made for another model."""


class IndexStorageError(EndogenousError):
    """An index folder that cannot be read or written, or whose files are damaged."""


class IndexMismatchError(IndexStorageError):
    """An index that was written with another profile or schema version."""


class IndexLockedError(IndexStorageError):
    """An index that another process is writing to at this moment."""
