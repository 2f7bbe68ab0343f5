"""Damaging files as a disk would, under the eyes of whoever still has them open."""

from __future__ import annotations

from pathlib import Path


def overwrite(path: Path, content: bytes) -> None:
    """Put a new file in the place of ``path``.

    Written in place, the file would for a moment be empty, and a process that reads a mapping of it
    just then, in a thread of Tantivy's say, is ended by the system.
    """
    path.unlink()
    path.write_bytes(content)
