"""What a path is before it is read or written: no link, and the kind of file that it should be."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief, quoted, why

__all__ = [
    "UnreadableError",
    "check_file",
    "check_folder",
    "check_lock",
    "check_place",
    "entries",
    "free_name",
    "unfinished",
]


class UnreadableError(IndexStorageError):
    """The system refuses to read a file (too many are open, say): that is no damage to it."""


def check_place(folder: Path) -> None:
    """Make sure that an index can lie in a folder: Tantivy knows only names in UTF-8.

    Raises:
        IndexStorageError: a name on its path is none.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as e:
        raise IndexStorageError(
            f"an index cannot lie in {quoted(str(folder))}: a name is no UTF-8; rename the "
            "folder, or give a link to it with another name"
        ) from e


def check_file(path: Path) -> None:
    """Make sure that a path is a plain file, if there is anything.

    Raises:
        IndexStorageError: it is a link, a folder, a pipe or a device.
    """
    found = _look(path)
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise IndexStorageError(
            f"{brief(path)} is {_kind(found)}, where an index has a file; remove it"
        )


def check_folder(path: Path) -> None:
    """Make sure that a path is a folder, if there is anything.

    Raises:
        IndexStorageError: it is a link or a file.
    """
    found = _look(path)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise IndexStorageError(
            f"{brief(path)} is {_kind(found)}, where an index has a folder; remove it. (The "
            "index's own folder may be a link; no part of it may)"
        )


def check_lock(path: Path) -> None:
    """Make sure that a file which may be emptied, to be locked, holds nothing of somebody else.

    Raises:
        IndexStorageError: it is no plain file, or a second name of one that is not empty.
    """
    check_file(path)
    found = _look(path)
    if found is not None and found.st_nlink > 1 and found.st_size:
        raise IndexStorageError(f"{brief(path)} is a second name of another file; remove it")


def free_name(path: Path) -> Path:
    """The path, or one like it where there is something."""
    number, found = 1, path
    while os.path.lexists(found):
        found, number = path.with_name(f"{path.name}.{number}"), number + 1
    return found


def entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none.

    Raises:
        UnreadableError: the system refuses to list it.
    """
    try:
        return [folder / name for name in os.listdir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise UnreadableError(f"{brief(folder)} cannot be read: {why(e)}") from e


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A place beside ``target`` to make it in, under a name that nobody has; then move it.

    What is left there goes at the end. A kill leaves it, with ``.unfinished`` in its name.

    Raises:
        OSError: there is no room beside ``target``.
    """
    beside = target.absolute().parent
    with tempfile.TemporaryDirectory(
        prefix=f"{target.name}.", suffix=".unfinished", dir=beside
    ) as folder:
        yield Path(folder) / target.name  # inside: the folder itself is closed to others


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise UnreadableError(f"{brief(path)} cannot be read: {why(e)}") from e


def _kind(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "a link"
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    return "a plain file" if stat.S_ISREG(found.st_mode) else "no plain file"
