"""Files that survive a power cut, and small JSON files that notice any change to them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief

__all__ = ["read_sealed", "sealed", "sync_folder", "write_durably"]

_BLANK = b"0" * 64
_SEAL = b'"checksum": "'
_MAX_JSON = 1 << 28
"""Bytes; what is larger is no file of ours, and is not read into memory."""


def write_durably(path: Path, content: bytes) -> None:
    """Write, fsync, rename, fsync the folder: after this returns the file survives a power cut.

    Raises:
        OSError: nothing was changed; no temporary file is left.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # it may be a link, which must not be written through
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable (where the system can)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sealed(content: str) -> bytes:
    """JSON whose empty ``"checksum": ""`` has got the SHA-256 of the whole file.

    The digest is taken with zeros in its own place, so that it covers every byte.
    """
    blank = content.encode().replace(_SEAL + b'"', _SEAL + _BLANK + b'"', 1)
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank.replace(_SEAL + _BLANK, _SEAL + digest, 1)


def read_sealed(path: Path) -> bytes:
    """What :func:`sealed` made; a file without a seal comes as it is.

    Raises:
        OSError: it cannot be read.
        IndexStorageError: it is not what was written, or far too large.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_JSON + 1)
    if len(content) > _MAX_JSON:
        raise IndexStorageError(f"{brief(path)} is damaged: it is larger than {_MAX_JSON} bytes")
    before, seal, rest = content.partition(_SEAL)
    if seal:
        digest = rest[:64]
        if hashlib.sha256(before + seal + _BLANK + rest[64:]).hexdigest().encode() != digest:
            raise IndexStorageError(
                f"{brief(path)} is damaged: its checksum does not fit its contents"
            )
    elif re.search(rb'"checksum"\s*:', content):  # the seal itself was changed
        raise IndexStorageError(f"{brief(path)} is damaged: its checksum cannot be read")
    return content
