"""Namespaces: indexes inside an index's folder that have nothing in common but the model.

Each has its own segments, search part, frequencies and lock, so that nothing can leak.
"""

from __future__ import annotations

import re
from pathlib import Path

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.storage.folder import parts_of_index
from s3_retriever.storage.places import check_folder

__all__ = ["check_namespace", "namespace_folder", "namespaces_in"]

_FOLDER = "namespaces"
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
        if parts_of_index(path):
            check_folder(path)
            found.append(path.name)
    return found
