"""The writer's lock: one process and one thread writes an index at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from s3_retriever.errors import IndexLockedError, IndexStorageError

__all__ = ["LOCK_FILES", "writer_lock"]

LOCK_FILES = ("writer.lock", "writer.txt")


@contextmanager
def writer_lock(folder: Path, wait: float = 0) -> Iterator[None]:
    """Hold the lock of the index in ``folder``; it ends with the process, however that ends.

    Args:
        folder: of the index.
        wait: seconds that whoever holds it now may take.

    Raises:
        IndexLockedError: another process or thread holds it; says which process, on which host.
        IndexStorageError: the folder is not writable.
    """
    lock = filelock.FileLock(folder / LOCK_FILES[0], timeout=wait, poll_interval=0.02)
    holder = folder / LOCK_FILES[1]
    try:
        lock.acquire()
    except filelock.Timeout as e:
        raise IndexLockedError(
            f"index {folder} is being written by {_holder(holder)}; wait until it is done"
        ) from e
    except OSError as e:
        raise IndexStorageError(f"index {folder} is not writable: {e}") from e
    try:
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        except OSError as e:
            raise IndexStorageError(f"index {folder} is not writable: {e}") from e
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
