"""Where the server of an index is found: a small file beside the index's jobs.

It is read by commands on the same machine. What it says is a hint, never trusted alone: it holds
no address but a port of this machine, is of no use for a copy of the folder, and whoever answers
there has to know the number that the file holds.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s3_retriever.errors import EndogenousError
from s3_retriever.quoting import brief, why
from s3_retriever.storage.files import write_durably
from s3_retriever.storage.places import check_file, check_folder

__all__ = ["JOBS", "Announcement", "announce", "announced", "withdraw"]

logger = logging.getLogger(__name__)

JOBS = "jobs"
"""Folder of a server's jobs, in the index's."""
_NAME = "server.json"
_MOST_BYTES = 4096
_REACHED_BY = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "::1"}  # noqa: S104
"""The address of this machine by which a server is reached that listens on another."""


class Announcement(BaseModel):
    """A server that runs, or ran: nothing in it is a secret.

    Example:
        >>> Announcement(host="::1", port=8321, pid=1, instance="ab", place=(1, 2)).url
        'http://[::1]:8321'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Literal["127.0.0.1", "::1"]
    port: int = Field(gt=0, le=65535)
    pid: int
    """Process, for people."""
    instance: str = Field(max_length=64)
    """What ``/healthz`` of this very server says."""
    place: tuple[int, int]
    """Device and inode of the index's folder: a copy of it has others."""

    @property
    def url(self) -> str:
        """Its address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def announce(index: Path, host: str, port: int, instance: str) -> None:
    """Say that a server has an index; where it cannot be said, nobody finds the server by it.

    Args:
        index: the index's folder, whose jobs the server has.
        host: the address that it listens on; another than a loopback one, or all, is not told.
        port: of it.
        instance: what its ``/healthz`` says.
    """
    if host not in _REACHED_BY:
        return
    said = {
        "host": _REACHED_BY[host],
        "port": port,
        "pid": os.getpid(),
        "instance": instance,
        "place": _place(index),
    }
    try:
        content = Announcement.model_validate(said).model_dump_json()
        write_durably(index / JOBS / _NAME, content.encode())
    except OSError as e:
        logger.warning("commands will not find this server by the index: %s", why(e))


def withdraw(index: Path) -> None:
    """Take the word back: the server ends."""
    try:
        (index / JOBS / _NAME).unlink(missing_ok=True)
    except OSError as e:  # whoever asks there will get no answer
        logger.debug("%s is left: %s", brief(index / JOBS / _NAME), why(e))


def announced(index: Path) -> Announcement | None:
    """The server that an index's folder says to have; it may be gone since.

    Args:
        index: the index's folder.

    Returns:
        ``None`` if there is none, or the file is another user's, or came with a copy of the folder.

    Example:
        >>> announced(Path("no-such-index"))
    """
    path = index / JOBS / _NAME
    try:
        check_folder(path.parent)
        check_file(path)
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            found = Announcement.model_validate_json(file.read(_MOST_BYTES))
        return found if found.place == _place(index) else None
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, EndogenousError) as e:
        logger.debug("%s says nothing: %s", brief(path), type(e).__name__)
        return None


def _place(index: Path) -> tuple[int, int]:
    found = index.stat()
    return found.st_dev, found.st_ino
