"""The manifest: which segments make up the index at its last commit.

Written by write, fsync, rename; whatever is on disk and not in it does not exist.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.index.segment import write_durably

__all__ = ["SCHEMA", "Manifest", "SegmentRecord"]

SCHEMA = 1
"""Version of the index format."""

_NAME = "manifest.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentRecord(_Record):
    """A segment file and the documents in it that are gone."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    n_bytes: int = Field(ge=0)
    n_tokens: int = Field(ge=0)
    deleted: tuple[int, ...] = ()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[0-9]{8}-[0-9a-f]{8}", name):
            raise ValueError(f"{name!r} is no segment name")  # in particular no path
        return name


class Manifest(_Record):
    """The contents of ``manifest.json``."""

    schema_version: int
    fingerprint: str
    """Of the profile the codes were made with."""
    profile: str
    """Its name."""
    model: str
    """Its model."""
    generation: int = Field(ge=0)
    """Number of commits so far."""
    segments: tuple[SegmentRecord, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of an index, or ``None`` where there is no index.

        Raises:
            IndexStorageError: it is there and cannot be read.
            IndexMismatchError: it is of another schema version.
        """
        path = folder / _NAME
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as e:
            raise IndexStorageError(f"{path} cannot be read: {e}") from e
        try:
            manifest = cls.model_validate_json(content)
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise IndexStorageError(f"{path} is damaged: {where}: {first['msg']}") from e
        if manifest.schema_version != SCHEMA:
            raise IndexMismatchError(
                f"index {folder} has schema version {manifest.schema_version}, this release "
                f"reads {SCHEMA}; open it with the release that wrote it, or index again"
            )
        return manifest

    def write(self, folder: Path) -> None:
        """Make this the index's state."""
        write_durably(folder / _NAME, self.model_dump_json(indent=1).encode())
