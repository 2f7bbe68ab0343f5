"""Which segments are of no commit yet, or no more: what the next writer may delete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from s3_retriever.storage.files import sync_folder

__all__ = ["JOURNAL", "Journal"]

JOURNAL = "writer.journal"

_NAME = re.compile(r"^[0-9]{8}-[0-9a-f]{8}$", re.MULTILINE)
_MAX_BYTES = 1 << 24


class Journal:
    """Names of segments, a line each, written down before their files are made or given up.

    A segment's file that neither the manifest nor the journal names was not left by a writer that
    died, and is never deleted.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read or made."""
        self._path = path
        self._noted: set[str] = set()

    def exists(self) -> bool:
        """Whether the index was written by a release that keeps a journal."""
        return self._path.exists()

    def names(self) -> set[str]:
        """What was noted since the journal was cleared.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                said = file.read(_MAX_BYTES).decode("ascii", "replace")
        except FileNotFoundError:
            said = ""
        return self._noted.union(_NAME.findall(said))

    def note(self, names: Iterable[str]) -> None:
        """Write names down durably.

        Raises:
            OSError: they are not written; this process knows them all the same.
        """
        names = set(names)
        self._noted |= names
        lines = "".join(f"{name}\n" for name in sorted(names))
        if not lines:
            return
        new = not self._path.exists()
        with self._path.open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self._path.parent)

    def clear(self) -> None:
        """Forget all: what is on disk of them, and in the search part, is the manifest's.

        Raises:
            OSError: it is as it was.
        """
        if self._path.exists() and self._path.stat().st_size:
            self._path.write_bytes(b"")
        self._noted = set()
