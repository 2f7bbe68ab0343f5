"""The record of the search part's files, ``search.json``: what they were after a commit.

Tantivy believes its files. So what is there is held against this record before a writer opens it,
and when an index is examined.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief, why
from s3_retriever.storage.files import read_sealed, sealed, write_durably
from s3_retriever.storage.journal import Journal
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.places import UnreadableError, entries

__all__ = ["SEARCH_RECORD", "TANTIVY_STATE", "SearchRecord"]

SEARCH_RECORD = "search.json"
TANTIVY_STATE = "meta.json"
"""Tantivy's own manifest; every commit of it replaces the file."""

_MANAGED = ".managed.json"
"""Tantivy's list of the files that it made and may remove."""

_CHANGING = {TANTIVY_STATE, _MANAGED}
"""Tantivy's other files are written once, under names that are never used again."""

_Stamp = tuple[int, int, int]
"""Inode, time of the last change in nanoseconds, bytes."""


class _Files(BaseModel):
    """The files of the search part after a commit, as ``search.json`` lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: int = Field(ge=0)
    folder: str
    files: dict[str, tuple[int, str]]
    """Size and SHA-256 by name."""
    checksum: str = ""

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it was made after this manifest's commit."""
        return (self.generation, self.folder) == (manifest.generation, manifest.search)


class SearchRecord:
    """What the search part of the index in a folder was, and whether it still is."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        """Nothing is read.

        Args:
            folder: of the index.
            journal: says whether a commit was broken off.
        """
        self._folder = folder
        self._path = folder / SEARCH_RECORD
        self._journal = journal
        self._sound: dict[Path, _Stamp] = {}
        """Files whose digests were compared by this process."""

    def _read(self) -> _Files | None:
        """The record, if there is one and it is whole.

        Raises:
            UnreadableError: the system refuses to read it.
        """
        try:
            return _Files.model_validate_json(read_sealed(self._path))
        except (FileNotFoundError, IndexStorageError, ValidationError):
            return None
        except OSError as e:
            raise UnreadableError(f"{brief(self._path)} cannot be read: {why(e)}") from e

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether the search part was complete and nothing was written to it since."""
        record = self._read()
        if record is None or not record.is_of(manifest):
            return False
        state = self._folder / manifest.search / TANTIVY_STATE
        return state.is_file() and record.files.get(TANTIVY_STATE, (0, ""))[1] == sha256_of(state)

    def is_untouched(self, manifest: Manifest) -> bool:
        """Whether no writer of Tantivy began anything since the search part was complete."""
        record, folder = self._read(), self._folder / manifest.search
        return (
            record is not None
            and record.is_of(manifest)
            and all(
                (folder / name).is_file()
                and record.files.get(name, (0, ""))[1] == sha256_of(folder / name)
                for name in _CHANGING
            )
        )

    def write(self, manifest: Manifest) -> None:
        """Record the search part's files as they are now.

        Raises:
            OSError: they cannot be read, or the record not written.
        """
        before = self._read()
        known = before.files if before and before.folder == manifest.search else {}
        files = {}
        sound = {}
        for path in _search_files(self._folder / manifest.search):
            stamp = _stamp(path)
            if stamp is None:  # of a segment that was merged
                continue
            size = stamp[-1]
            old = known.get(path.name, (-1, ""))
            fresh = path.name in _CHANGING or old[0] != size
            files[path.name] = (size, sha256_of(path) if fresh else old[1])
            if fresh or self._sound.get(path) == stamp:
                sound[path] = stamp
        self._sound = sound
        record = _Files(generation=manifest.generation, folder=manifest.search, files=files)
        write_durably(self._path, sealed(record.model_dump_json(indent=1)))

    def check(self, manifest: Manifest) -> None:
        """Make sure that the search part is what was written, before a writer opens it.

        Tantivy believes its files, and damage can end the whole process in one of its threads. A
        file is read once a process. After a commit that was broken off, only what Tantivy does not
        change any more can be compared; the journal says that there was one. Files of segments
        that were merged may be gone: a thread of Tantivy's removes them in its own time, and
        writes down what is left in ``.managed.json``.

        Raises:
            IndexStorageError: it is damaged.
            UnreadableError: the system refuses to read it.
        """
        record = self._read()
        if record is None or record.folder != manifest.search:
            return
        folder = self._folder / manifest.search
        try:
            complete = (
                record.is_of(manifest) and self._journal.exists() and not self._journal.names()
            )
            if complete:
                self._compare(folder / TANTIVY_STATE, record)
                if not _is_managed(folder, record):
                    raise _damaged(folder / _MANAGED)
            in_use = _in_use(folder) if complete else lambda name: False
            for name in set(record.files) - _CHANGING:
                self._compare(folder / name, record, needed=in_use(name))
        except OSError as e:
            raise UnreadableError(f"{brief(folder)} cannot be read: {why(e)}") from e

    def _compare(self, path: Path, record: _Files, *, needed: bool = True) -> None:
        stamp = _stamp(path)
        if stamp is None and not needed:
            return
        if stamp is not None and stamp == self._sound.get(path):
            return
        size, digest = record.files.get(path.name, (-1, ""))
        if stamp is None or stamp[-1] != size or sha256_of(path) != digest:
            raise _damaged(path)
        self._sound[path] = stamp

    def problems(self, manifest: Manifest) -> Iterator[str]:
        """How the search part differs from what was recorded, one sentence each."""
        folder = self._folder / manifest.search
        if manifest.schema_version == 1 and not self._path.exists():
            return  # nothing was recorded then
        record = self._read()
        if record is None:
            yield f"{SEARCH_RECORD}, the record of the search part's files, is missing or damaged"
            return
        if not record.is_of(manifest):
            yield "the last write was interrupted before the search part was complete"
            return
        found = {path.name: path for path in _search_files(folder)}
        in_use = _in_use(folder)
        try:
            for name, (size, digest) in record.files.items():
                path = found.pop(name, None)
                if path is None and not in_use(name):
                    continue  # of a segment that was merged
                if path is None:
                    yield f"{brief(folder.name)}/{brief(name)} is missing"
                elif name == _MANAGED:
                    if not _is_managed(folder, record):
                        yield f"{brief(folder.name)}/{name} is damaged"
                elif path.stat().st_size != size or sha256_of(path) != digest:
                    yield f"{brief(folder.name)}/{brief(name)} is damaged"
        except OSError as e:
            raise UnreadableError(f"{brief(folder)} cannot be read: {why(e)}") from e
        for name in found:
            yield f"{brief(folder.name)}/{brief(name)} is no file of this index"


def _damaged(path: Path) -> IndexStorageError:
    return IndexStorageError(
        f"the search part of the index is damaged ({brief(path.parent.name)}/{brief(path.name)} "
        "is not what was written); rebuild it with: s3-retriever doctor --repair"
    )


def _in_use(folder: Path) -> Callable[[str], bool]:
    """Tells which recorded files Tantivy still needs: those of the segments in its manifest.

    Raises:
        OSError: it cannot be read.
    """
    try:
        segments = json.loads((folder / TANTIVY_STATE).read_bytes())["segments"]
        marks = {segment["segment_id"].replace("-", ""): segment["deletes"] for segment in segments}
        deleted = {f"{i}.{found['opstamp']}.del" for i, found in marks.items() if found}
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        return lambda name: True  # it is damaged, which its own digest says

    def needed(name: str) -> bool:
        if name in _CHANGING:
            return True
        return name in deleted or (not name.endswith(".del") and name.split(".")[0] in marks)

    return needed


def _is_managed(folder: Path, record: _Files) -> bool:
    """Whether Tantivy's list of its files is what it was, or shorter: some were removed since.

    Raises:
        OSError: it cannot be read.
    """
    try:
        data = (folder / _MANAGED).read_bytes()
    except FileNotFoundError:
        return False
    if hashlib.sha256(data).hexdigest() == record.files.get(_MANAGED, (0, ""))[1]:
        return True
    try:
        return set(json.loads(data)) <= set(record.files)
    except (ValueError, TypeError):
        return False


def _search_files(folder: Path) -> list[Path]:
    """What Tantivy keeps, less its locks (which are empty)."""
    return sorted(p for p in entries(folder) if not (p.suffix == ".lock" and p.stat().st_size == 0))


def _stamp(path: Path) -> _Stamp | None:
    """What changes with a file's contents; ``None`` if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
