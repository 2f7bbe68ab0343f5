"""Where the parts of an index lie in its folder, and what belongs to the last commit."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief, why
from s3_retriever.storage.journal import JOURNAL, Journal
from s3_retriever.storage.lock import LOCK_FILES
from s3_retriever.storage.manifest import COPY, MANIFEST, Manifest
from s3_retriever.storage.places import (
    check_file,
    check_folder,
    check_lock,
    entries,
    free_name,
)
from s3_retriever.storage.search_record import SEARCH_RECORD, TANTIVY_STATE, SearchRecord

__all__ = ["IndexFolder", "make_index_folder", "outside_indexes", "parts_of_index"]

logger = logging.getLogger(__name__)

_SEGMENT = re.compile(r"([0-9]{8}-[0-9a-f]{8})\.(safetensors|json)(\.tmp)?")
_SEARCH = re.compile(r"tantivy(-[0-9]{8})?")
_OF_SEARCH = re.compile(
    r"[0-9a-f]{32}(\.[0-9a-z]+)+|meta\.json|\.managed\.json|\.tmp\w+|\.tantivy-\w+\.lock"
)
"""Names that Tantivy gives: files, and what it writes before it renames."""
_FILES = (MANIFEST, COPY, SEARCH_RECORD, JOURNAL)
_TEMPORARY = tuple(f"{name}.tmp" for name in _FILES)


class IndexFolder:
    """The files of the index in ``path``."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made."""
        self.path = path
        self.segments = path / "segments"
        self.damaged = path / "damaged"
        self.journal = Journal(path / JOURNAL)
        self.search_record = SearchRecord(path, self.journal)

    def check(self) -> None:
        """Make sure that no part of the index leads elsewhere, before it is read or written.

        Raises:
            IndexStorageError: a part is a link, or no file or folder where it should be one.
        """
        for name in _FILES:
            check_file(self.path / name)
        for name in LOCK_FILES:
            check_lock(self.path / name)
        for folder in (self.segments, self.damaged, self.path / "namespaces"):
            check_folder(folder)
        for path in entries(self.segments):
            if _SEGMENT.fullmatch(path.name):
                check_file(path)
        for folder in self._search_folders():
            check_folder(folder)
            for path in entries(folder):
                (check_lock if path.suffix == ".lock" else check_file)(path)

    def segment(self, name: str) -> Path:
        """The file of a segment."""
        return self.segments / f"{name}.safetensors"

    def listing(self, name: str) -> Path:
        """The second copy of a segment's listing of documents."""
        return self.segments / f"{name}.json"

    def search(self, manifest: Manifest) -> Path:
        """Tantivy's folder."""
        return self.path / manifest.search

    def has_segments(self, manifest: Manifest) -> bool:
        """Whether every segment is there that a manifest names."""
        return all(self.segment(record.name).is_file() for record in manifest.segments)

    def state(self) -> list[Path]:
        """The small files that say what the others are; the manifest last."""
        names = (SEARCH_RECORD, COPY, MANIFEST)
        return [self.path / name for name in names if (self.path / name).exists()]

    def contents_of_state(self, manifest: Manifest) -> list[bytes]:
        """What changes whenever anything is written: all other files are written once.

        Raises:
            OSError: it cannot be read.
        """
        paths = [*self.state(), self.search(manifest) / TANTIVY_STATE]
        return [path.read_bytes() for path in paths if path.exists()]

    def remove_segments(self, names: set[str]) -> None:
        """Remove the files of segments; what the system still holds open goes another time."""
        for name in names:
            for path in (self.segment(name), self.listing(name)):
                _remove(path)

    def remove_unnamed(self, manifest: Manifest) -> None:
        """Remove what is of no commit: left by a writer that died, or replaced.

        Nothing else is deleted: a segment's file that no writer noted is set aside, and names that
        are none of an index are left alone.

        Raises:
            IndexStorageError: the folder cannot be read, or nothing be set aside.
        """
        try:
            known, ours = {record.name for record in manifest.segments}, self.journal.names()
            for path in entries(self.segments):
                match = _SEGMENT.fullmatch(path.name)
                if match is None or (match[1] in known and not match[3]):
                    continue
                if match[3] or match[1] in ours:
                    logger.debug("removing %s, which belongs to no commit", brief(path.name))
                    _remove(path)
                else:
                    self.set_aside(path)
            left = any(self.segment(name).exists() for name in ours - known)
            if ours and not left and self.search_record.is_untouched(manifest):
                self.journal.clear()
        except OSError as e:
            raise IndexStorageError(
                f"index {brief(self.path)} cannot be tidied up: {why(e)}"
            ) from e
        for folder in self._search_folders():
            if folder.name != manifest.search:
                self.remove_search(folder)
        for name in _TEMPORARY:
            _remove(self.path / name)

    def set_aside(self, path: Path) -> None:
        """Move a file that is not understood to ``damaged/``.

        Raises:
            OSError: it cannot be moved.
        """
        self.damaged.mkdir(exist_ok=True)
        target = free_name(self.damaged / path.name)
        path.rename(target)
        logger.warning(
            "%s is of no commit of this index; it is kept as %s", brief(path.name), brief(target)
        )

    def remove_search(self, folder: Path) -> None:
        """Remove a search part, which can be rebuilt; files that are not of it stay."""
        for path in entries(folder):
            if _OF_SEARCH.fullmatch(path.name):
                _remove(path)
        try:
            folder.rmdir()
        except OSError as e:
            logger.debug("%s cannot be removed yet: %s", brief(folder), why(e))

    def _search_folders(self) -> list[Path]:
        return [path for path in entries(self.path) if _SEARCH.fullmatch(path.name)]

    def check_age(self, manifest: Manifest) -> None:
        """Make sure that a manifest is the newest there was; call while nobody writes.

        Raises:
            IndexStorageError: the copy is newer, as after a backup was restored in part.
        """
        copy = Manifest.read_copy(self.path)
        if copy is not None and copy.generation > manifest.generation:
            raise IndexStorageError(
                f"{brief(self.path / MANIFEST)} is older than {COPY} (commit "
                f"{manifest.generation}, not "
                f"{copy.generation}): it was restored without the rest. Take the newer state with "
                f"s3-retriever doctor --index {brief(self.path)} --repair, or the older one by "
                f"removing {COPY}"
            )


def make_index_folder(folder: Path) -> None:
    """Make the folder of a new index; an existing one must be empty but for a dead attempt.

    Raises:
        IndexStorageError: it cannot be made, or holds something else.
    """
    files = IndexFolder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        orphans = {p.name for p in folder.iterdir() if not _SEARCH.fullmatch(p.name)}
        attempt = files.journal.names()
    except OSError as e:
        raise IndexStorageError(f"cannot create an index in {brief(folder)}: {why(e)}") from e
    files.check()
    segments = {m[1] for p in entries(files.segments) if (m := _SEGMENT.fullmatch(p.name))}
    if COPY in orphans or segments - attempt:
        raise IndexStorageError(
            f"{brief(folder)} holds parts of an index, but no {MANIFEST}: was it restored in "
            "part? Put "
            f"{MANIFEST} back, or try s3-retriever doctor --index {brief(folder)} --repair if "
            f"there is a {COPY}, or give another folder"
        )
    ours = {
        "segments",
        "namespaces",
        "jobs",
        "damaged",
        SEARCH_RECORD,
        JOURNAL,
        *_TEMPORARY,
        *LOCK_FILES,
    }
    if orphans - ours:
        raise IndexStorageError(
            f"{brief(folder)} is not empty and holds no index ({brief(min(orphans - ours))}, ...); "
            "give a new or empty folder"
        )


def parts_of_index(folder: Path) -> bool:
    """Whether a folder holds anything of an index, be it whole or not."""
    return any((folder / name).exists() for name in (MANIFEST, COPY)) or any(
        _SEGMENT.fullmatch(path.name) for path in entries(folder / "segments")
    )


def outside_indexes(target: Path, index: Path | None) -> None:
    """Make sure that a file or folder that is to be made is no part of an index.

    Args:
        target: to be made.
        index: the folder of the index that is copied; it may have no manifest yet.

    Raises:
        IndexStorageError: it would be; says of which.
    """
    here = None if index is None else index.resolve()
    for parent in target.resolve().parents:
        if parent == here or _is_index(parent):
            raise IndexStorageError(
                f"{brief(target)} lies in the index {brief(parent)}; give a place outside"
            )


def _is_index(folder: Path) -> bool:
    try:
        return Manifest.read(folder) is not None
    except IndexStorageError:  # somebody else's file of that name
        return False


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        logger.debug("%s cannot be removed yet: %s", brief(path), why(e))
