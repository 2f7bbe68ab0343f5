"""Paths that mean the same place however long they are kept."""

from __future__ import annotations

import os
from pathlib import Path

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted

__all__ = ["bound", "bound_place", "is_url"]

_SCHEMES = ("postgresql://", "postgres://")


def is_url(path: object) -> bool:
    """Whether a path of an index is an address in PostgreSQL.

    Example:
        >>> is_url("postgresql://me@db/texts"), is_url("postgresql-notes")
        (True, False)
    """
    return isinstance(path, str) and path.startswith(_SCHEMES)


def bound_place(path: str | os.PathLike[str]) -> str | Path:
    """A URL as it is, a path as of :func:`bound`.

    Example:
        >>> bound_place("postgresql://me@db/texts")
        'postgresql://me@db/texts'
    """
    return path if isinstance(path, str) and is_url(path) else bound(path)


def bound(path: str | os.PathLike[str]) -> Path:
    """A path as an absolute one, bound to the working directory of now; ``~`` is a home folder.

    What keeps a path beyond a call binds it first, or it would name another place after a
    ``chdir``. Links and ``..`` stay: what they lead to is the file system's to say.

    Example:
        >>> bound("index").is_absolute(), bound("~/index") == Path.home() / "index"
        (True, True)

    Raises:
        InputError: it is no path: of another type (bytes, too), empty, or with a NUL in it.
    """
    given = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(given, str):
        raise InputError(f"a path is a string or a pathlib.Path, not {type(given).__name__}")
    if not given or "\x00" in given:
        raise InputError("a path is empty, or holds a NUL character")
    try:
        os.fsencode(given)
    except UnicodeEncodeError as e:
        raise InputError(f"{quoted(given)} is no path of this system: {e.reason}") from e
    expanded = os.path.expanduser(given)  # noqa: PTH111 Path's own fails for a user that is unknown
    return Path(expanded).absolute()
