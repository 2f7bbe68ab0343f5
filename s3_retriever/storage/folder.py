"""Where the parts of an index lie in its folder, and what belongs to the last commit."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.files import read_sealed, write_sealed
from s3_retriever.storage.lock import LOCK_FILES
from s3_retriever.storage.manifest import COPY, MANIFEST, Manifest

__all__ = ["IndexFolder", "SearchSeal", "make_index_folder"]

logger = logging.getLogger(__name__)

_SEAL = "search.json"
_STATE = "meta.json"
"""Tantivy's own manifest; every commit of it replaces the file."""

_CHANGING = {_STATE, ".managed.json"}
"""Tantivy's other files are written once, under names that are never used again."""


class SearchSeal(BaseModel):
    """The files of the search part after a commit, as ``search.json`` lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: int = Field(ge=0)
    folder: str
    files: dict[str, tuple[int, str]]
    """Size and SHA-256 by name."""
    checksum: str = ""


class IndexFolder:
    """The files of the index in ``path``."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made."""
        self.path = path
        self.segments = path / "segments"
        self.damaged = path / "damaged"

    def segment(self, name: str) -> Path:
        """The file of a segment."""
        return self.segments / f"{name}.safetensors"

    def listing(self, name: str) -> Path:
        """The second copy of a segment's listing of documents."""
        return self.segments / f"{name}.json"

    def search(self, manifest: Manifest) -> Path:
        """Tantivy's folder."""
        return self.path / manifest.search

    def state(self) -> list[Path]:
        """The small files that say what the others are; the manifest last."""
        names = (_SEAL, COPY, MANIFEST)
        return [self.path / name for name in names if (self.path / name).exists()]

    def contents_of_state(self, manifest: Manifest) -> list[bytes]:
        """What changes whenever anything is written: all other files are written once.

        Raises:
            OSError: it cannot be read.
        """
        paths = [*self.state(), self.search(manifest) / _STATE]
        return [path.read_bytes() for path in paths if path.exists()]

    def remove_segments(self, names: set[str]) -> None:
        """Remove the files of segments; what the system still holds open goes another time."""
        for name in names:
            for path in (self.segment(name), self.listing(name)):
                _remove(path)

    def remove_unnamed(self, manifest: Manifest) -> None:
        """Remove what is of no commit: left by a writer that died, or replaced."""
        known = {record.name for record in manifest.segments}
        for path in self.segments.glob("*"):
            if path.name.split(".")[0] not in known or path.name.endswith(".tmp"):
                logger.info("removing %s, which belongs to no commit", path.name)
                _remove(path)
        for path in self.path.glob("tantivy*"):
            if path.name != manifest.search:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.path.glob("*.tmp"):
            _remove(path)

    def sealed(self) -> SearchSeal | None:
        """The seal, if there is one that can be read."""
        try:
            return SearchSeal.model_validate_json(read_sealed(self.path / _SEAL))
        except (OSError, IndexStorageError, ValidationError):
            return None

    def is_sealed(self, manifest: Manifest) -> bool:
        """Whether the search part was complete and nothing was written to it since."""
        seal = self.sealed()
        if seal is None or (seal.generation, seal.folder) != (manifest.generation, manifest.search):
            return False
        state = self.search(manifest) / _STATE
        return state.is_file() and seal.files.get(_STATE, (0, ""))[1] == sha256_of(state)

    def seal_search(self, manifest: Manifest) -> None:
        """Record the search part's files as they are now.

        Raises:
            OSError: they cannot be read, or the record not written.
        """
        before = self.sealed()
        known = before.files if before and before.folder == manifest.search else {}
        files = {}
        for path in _search_files(self.search(manifest)):
            size = path.stat().st_size
            old = known.get(path.name, (-1, ""))
            fresh = path.name in _CHANGING or old[0] != size
            files[path.name] = (size, sha256_of(path) if fresh else old[1])
        seal = SearchSeal(generation=manifest.generation, folder=manifest.search, files=files)
        write_sealed(self.path / _SEAL, seal.model_dump_json(indent=1))

    def search_problems(self, manifest: Manifest) -> Iterator[str]:
        """How the search part differs from what was recorded, one sentence each."""
        folder = self.search(manifest)
        if manifest.schema_version == 1 and not (self.path / _SEAL).exists():
            return  # nothing was recorded then
        seal = self.sealed()
        if seal is None:
            yield f"{_SEAL}, the record of the search part's files, is missing or damaged"
            return
        if (seal.generation, seal.folder) != (manifest.generation, manifest.search):
            yield "the last write was interrupted before the search part was complete"
            return
        found = {path.name: path for path in _search_files(folder)}
        for name, (size, digest) in seal.files.items():
            path = found.pop(name, None)
            if path is None:
                yield f"{folder.name}/{name} is missing"
            elif path.stat().st_size != size or sha256_of(path) != digest:
                yield f"{folder.name}/{name} is damaged"
        for name in found:
            yield f"{folder.name}/{name} is no file of this index"


def make_index_folder(folder: Path) -> None:
    """Make the folder of a new index; an existing one must be empty but for a dead attempt.

    Raises:
        IndexStorageError: it cannot be made, or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        orphans = {p.name for p in folder.iterdir() if not p.name.startswith("tantivy")}
    except OSError as e:
        raise IndexStorageError(f"cannot create an index in {folder}: {e}") from e
    ours = {"segments", "namespaces", f"{MANIFEST}.tmp", _SEAL, f"{_SEAL}.tmp", *LOCK_FILES}
    if orphans - ours:
        raise IndexStorageError(
            f"{folder} is not empty and holds no index ({min(orphans - ours)}, ...); "
            "give a new or empty folder"
        )


def _search_files(folder: Path) -> list[Path]:
    """What Tantivy keeps, less its locks (which are empty)."""
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir() if not (p.suffix == ".lock" and p.stat().st_size == 0)
    )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        logger.debug("%s cannot be removed yet: %s", path, e)
