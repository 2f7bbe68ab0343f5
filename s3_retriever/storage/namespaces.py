"""Namespaces: indexes inside an index's folder that have nothing in common but the model.

Each has its own segments, search part, frequencies and lock, so that nothing can leak.
"""

from __future__ import annotations

import re
from pathlib import Path

from s3_retriever.errors import InputError
from s3_retriever.storage.manifest import MANIFEST

__all__ = ["check_namespace", "namespace_folder", "namespaces_in"]

_FOLDER = "namespaces"


def check_namespace(name: str) -> str:
    """The name, if it is one: it becomes a folder's, on any system.

    Raises:
        InputError: anything but 1 to 64 of a-z, 0-9, ``-`` and ``_``, a letter or digit first.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise InputError(
            f"namespace {name!r}: use 1 to 64 of a-z, 0-9, - and _, with a letter or digit first"
        )
    return name


def namespace_folder(folder: Path, name: str | None) -> Path:
    """Where a namespace of the index in ``folder`` lies; ``None`` is the index itself.

    Example:
        >>> namespace_folder(Path("my-index"), "team-a").as_posix()
        'my-index/namespaces/team-a'

    Raises:
        InputError: no name for a namespace.
    """
    return folder if name is None else folder / _FOLDER / check_namespace(name)


def namespaces_in(folder: Path) -> list[str]:
    """Names of the namespaces of the index in ``folder`` that hold an index, sorted."""
    return sorted(path.parent.name for path in (folder / _FOLDER).glob(f"*/{MANIFEST}"))
