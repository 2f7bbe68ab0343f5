"""The writer's lock: one process and one thread writes an index at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from s3_retriever.errors import IndexLockedError, IndexStorageError
from s3_retriever.quoting import brief, why

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
    try:  # an interrupt right after the lock was got must give it back
        try:
            lock.acquire()
        except filelock.Timeout as e:
            raise IndexLockedError(
                f"index {brief(folder)} is being written by {_holder(holder)}; wait until it is "
                "done"
            ) from e
        except OSError as e:
            raise IndexStorageError(f"index {brief(folder)} is not writable: {why(e)}") from e
        try:
            holder.unlink(missing_ok=True)  # never written through: it may be another's file
            with holder.open("x", encoding="utf-8") as file:
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
        except OSError as e:
            raise IndexStorageError(f"index {brief(folder)} is not writable: {why(e)}") from e
        yield
    finally:
        try:
            if lock.is_locked:
                holder.unlink(missing_ok=True)
        finally:
            lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
