"""Namespaces: indexes inside an index's folder that have nothing in common but the model.

Each has its own segments, search part, frequencies and lock, so that nothing can leak.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from s3_retriever.errors import IndexLockedError, IndexStorageError, InputError
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.storage.files import sync_folder
from s3_retriever.storage.folder import IndexFolder, parts_of_index
from s3_retriever.storage.lock import writer_lock
from s3_retriever.storage.places import check_folder, check_lock, entries

__all__ = [
    "check_namespace",
    "delete_namespace",
    "deleted_in",
    "namespace_folder",
    "namespaces_in",
    "remove_deleted",
    "server_lock",
]

logger = logging.getLogger(__name__)

_FOLDER = "namespaces"
_DELETED = re.compile(r"[a-z0-9_-]+\.deleted-[0-9a-f]{16}")
"""What a namespace is called from its deletion until its files are gone: no namespace's name."""
_DEVICE = re.compile("con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that no folder of Windows can have."""


def check_namespace(name: str) -> str:
    """The name, if it is one: it becomes a folder's, on any system.

    Raises:
        InputError: anything but 1 to 64 of a-z, 0-9, ``-`` and ``_``, a letter or digit first,
            or the name of a device (``con``, ``nul``, ``com1``).
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise InputError(
            f"namespace {quoted(name)}: use 1 to 64 of a-z, 0-9, - and _, with a letter or digit "
            "first"
        )
    if _DEVICE.fullmatch(name):
        raise InputError(
            f"namespace {quoted(name)}: Windows keeps this name for a device; use another"
        )
    return name


def namespace_folder(folder: Path, name: str | None) -> Path:
    """Where a namespace of the index in ``folder`` lies; ``None`` is the index itself.

    Example:
        >>> namespace_folder(Path("my-index"), "team-a").as_posix()
        'my-index/namespaces/team-a'

    Raises:
        InputError: no name for a namespace.
        IndexStorageError: its folder is a link, or a file.
    """
    if name is None:
        return folder
    place = folder / _FOLDER / check_namespace(name)
    check_folder(place.parent)
    check_folder(place)
    return place


def namespaces_in(folder: Path) -> list[str]:
    """Names of the namespaces of the index in ``folder`` that hold an index, sorted.

    One whose manifest is lost counts, so that doctor looks at it.

    Raises:
        IndexStorageError: their folder, or that of one of them, is a link.
    """
    check_folder(folder / _FOLDER)
    found = []
    for path in sorted((folder / _FOLDER).glob("*")):
        if parts_of_index(path) and not _DELETED.fullmatch(path.name):
            check_folder(path)
            found.append(path.name)
    return found


def server_lock(jobs: Path) -> filelock.FileLock:
    """The lock that a server holds as long as it has the index whose jobs are in ``jobs``.

    Raises:
        IndexStorageError: it would be another file's.
    """
    check_folder(jobs)
    check_lock(jobs / "server.lock")
    # it is given back by another thread than the one that takes it
    return filelock.FileLock(jobs / "server.lock", timeout=0, thread_local=False)


def delete_namespace(folder: Path, name: str) -> bool:
    """Delete a namespace of the index in ``folder``; returns whether it was there.

    It is gone at once: it gets another name, under which its files are deleted then. What a kill
    leaves of them is no namespace, and goes with the next one that is deleted.

    Raises:
        InputError: no name for a namespace.
        IndexLockedError: it is being written, or a server has the index.
        IndexStorageError: it cannot be moved, or a part of it is a link.
    """
    place = namespace_folder(folder, name)
    remove_deleted(folder)
    if not parts_of_index(place):
        return False
    IndexFolder(place).check()
    with _no_server(folder), writer_lock(place):
        try:
            place.rename(place.with_name(f"{name}.deleted-{secrets.token_hex(8)}"))
            sync_folder(place.parent)
        except OSError as e:
            raise IndexStorageError(f"{brief(place)} cannot be deleted: {why(e)}") from e
    remove_deleted(folder)
    return True


def deleted_in(folder: Path) -> list[Path]:
    """What is left of namespaces of the index in ``folder`` whose deletion was broken off."""
    return [p for p in entries(folder / _FOLDER) if _DELETED.fullmatch(p.name) and p.is_dir()]


def remove_deleted(folder: Path) -> None:
    """Remove what :func:`deleted_in` finds; what cannot go now goes another time."""
    check_folder(folder / _FOLDER)
    for path in deleted_in(folder):
        try:
            shutil.rmtree(path)
        except OSError as e:
            logger.warning("%s cannot be removed yet: %s", brief(path), why(e))


@contextmanager
def _no_server(folder: Path) -> Iterator[None]:
    """Keep servers from the index meanwhile: one may have jobs for the namespace."""
    jobs = folder / "jobs"
    if not jobs.is_dir():
        yield
        return
    lock = server_lock(jobs)
    try:
        with lock:
            yield
    except filelock.Timeout as e:
        raise IndexLockedError(f"a server has the index of {brief(folder)}; end it first") from e
