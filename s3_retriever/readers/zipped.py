"""Formats that are zip archives: opened in memory, bounded before anything is unpacked."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from s3_retriever.readers.base import UnreadableError

__all__ = ["opened", "sound"]

logger = logging.getLogger(__name__)

_MAX_MARKUP = 64 << 20
"""Bytes of XML and HTML in one file: parsed, they take some thirty times as much memory."""
_MAX_ALL = 1 << 30
_MAX_MEMBERS = 20_000
_MARKUP = (".xml", ".rels", ".html", ".htm", ".xhtml", ".opf", ".ncx")
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


@contextmanager
def opened(data: bytes, what: str, suffix: str) -> Iterator[zipfile.ZipFile]:
    """An archive that is no larger, unpacked, than what a document of its kind may be.

    The sizes are those that it declares; Python unpacks no more of a member than that.

    Args:
        data: of the file.
        what: kind of file, "Word file" say.
        suffix: that the kind has.

    Raises:
        UnreadableError: it is no archive, is encrypted, or unpacks to too much.
    """
    if data.startswith(_OLD_OFFICE):
        if _ENCRYPTED in data:
            raise UnreadableError("it is encrypted; save a copy without password")
        raise UnreadableError(f"it is in the format of Office before 2007; save it as {suffix}")
    with sound(what):
        if not zipfile.is_zipfile(io.BytesIO(data)):
            if data.startswith(b"PK"):
                raise UnreadableError(f"it is a broken {what}, cut off perhaps; copy it anew")
            raise UnreadableError(f"it is no {what}, whatever its suffix {suffix} says")
        archive = zipfile.ZipFile(io.BytesIO(data))
    with archive:
        members = archive.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise UnreadableError("it is encrypted; save a copy without password")
        markup = sum(m.file_size for m in members if m.filename.lower().endswith(_MARKUP))
        if markup > _MAX_MARKUP:
            raise UnreadableError(
                f"it unpacks to more than {_MAX_MARKUP >> 20} MiB of XML; split it, if it is no "
                "zip bomb"
            )
        if sum(m.file_size for m in members) > _MAX_ALL or len(members) > _MAX_MEMBERS:
            raise UnreadableError(
                f"it unpacks to more than {_MAX_ALL >> 20} MiB or {_MAX_MEMBERS:,} parts; split "
                "it, if it is no zip bomb"
            )
        yield archive


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Whatever a library meets in a damaged file is one reason.

    They raise anything: what is missing is an attribute, a key or an index to them. The message
    names the kind of error only, since theirs may quote the file.
    """
    try:
        yield
    except (UnreadableError, ImportError):
        raise
    except Exception as e:
        logger.debug("%s is broken", what, exc_info=True)
        raise UnreadableError(
            f"it is a broken {what} ({type(e).__name__}); open it in its program, save a copy"
        ) from e
