"""The manifest: which segments make up the index at its last commit.

Written by write, fsync, rename; whatever is on disk and not in it does not exist.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.storage.files import read_sealed, sealed, write_durably
from s3_retriever.storage.places import UnreadableError

__all__ = ["COPY", "MANIFEST", "SCHEMA", "Manifest", "SegmentRecord"]

SCHEMA = 3
"""Version of the index format. 1 had no checksums inside segments and manifest; it is read, and
the next commit writes 2."""

MANIFEST = "manifest.json"
COPY = "manifest.copy.json"

_READ_AGAIN = (
    "read the texts again with this one: "
    "s3-retriever migrate --index OLD-FOLDER --to NEW-FOLDER --profile PROFILE"
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentRecord(_Record):
    """A segment file and the documents in it that are gone."""

    name: str = Field(pattern="^[0-9]{8}-[0-9a-f]{8}$")  # in particular no path
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    listing_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of the listing of documents, which stands in the segment and beside it."""
    n_bytes: int = Field(ge=0)
    n_tokens: int = Field(ge=0)
    deleted: tuple[int, ...] = ()
    """Numbers of documents, ascending."""

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[0-9]{8}-[0-9a-f]{8}", name):  # the pattern's $ allows a line end
            raise ValueError(f"{quoted(name)} is no segment name")
        return name

    @field_validator("deleted")
    @classmethod
    def _ascending(cls, deleted: tuple[int, ...]) -> tuple[int, ...]:
        if (deleted and deleted[0] < 0) or any(a >= b for a, b in pairwise(deleted)):
            raise ValueError("numbers of deleted documents must ascend from 0")
        return deleted


class Manifest(_Record):
    """The contents of ``manifest.json``."""

    schema_version: int
    fingerprint: str
    """Of the profile the codes were made with."""
    profile: str
    """Its name."""
    model: str
    """Its model."""
    tokenizer: str | None = None
    """SHA-256 of its tokenizer."""
    weights: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """``weights_digest`` of the model that read the texts; ``None`` before schema version 3, and
    until an engine writes."""
    generation: int = Field(ge=0)
    """Number of commits so far."""
    search: str = Field(default="tantivy", max_length=40)
    """Folder of the search part."""
    segments: tuple[SegmentRecord, ...] = ()
    checksum: str = ""
    """Of the whole file."""

    @field_validator("search")
    @classmethod
    def _inside(cls, search: str) -> str:
        if not re.fullmatch(r"tantivy(-[0-9]{8})?", search):
            raise ValueError(f"{quoted(search)} is no folder of a search part")
        return search

    @field_validator("segments")
    @classmethod
    def _distinct(cls, segments: tuple[SegmentRecord, ...]) -> tuple[SegmentRecord, ...]:
        if len({record.name for record in segments}) < len(segments):
            raise ValueError("a segment is named twice")
        return segments

    def check(self, card: ProfileCard, weights: str | None, what: str) -> None:
        """Make sure that the codes are those of a profile and of a model's weights.

        Args:
            card: of the profile.
            weights: ``weights_digest`` of the model up to the profile's last layer; ``None`` where
                there is none at hand.
            what: has this manifest; named in the error.

        Raises:
            IndexMismatchError: they are not; names both sides and the way out.
        """
        if not card.made(self.fingerprint):
            theirs = f"{self.model}, fingerprint {self.fingerprint[:12]}"
            ours = f"{card.model}, fingerprint {card.fingerprint[:12]}"
            if self.tokenizer not in (None, card.tokenizer_sha256):
                theirs += f", tokenizer {str(self.tokenizer)[:12]}"
                ours += f", tokenizer {card.tokenizer_sha256[:12]}"
            raise IndexMismatchError(
                f"{what} was made with profile {quoted(self.profile)} ({theirs}), not with "
                f"{quoted(card.name)} ({ours}). Open it with that profile, or {_READ_AGAIN}"
            )
        if weights is not None and self.weights not in (None, weights):
            raise IndexMismatchError(
                f"{what} was made with other weights of {brief(self.model)} (digest "
                f"{self.weights[:12]}) "
                f"than those at hand (digest {weights[:12]}): another fine-tune, or one rounded to "
                f"fewer bits. Open it with the weights it was made with, or {_READ_AGAIN}"
            )

    @classmethod
    def read(cls, folder: Path, *, name: str = MANIFEST) -> Manifest | None:
        """The manifest of an index, or ``None`` where there is no index.

        Raises:
            IndexStorageError: it is damaged.
            UnreadableError: the system refuses to read it.
            IndexMismatchError: it is of a newer schema version.
        """
        path = folder / name
        try:
            content = read_sealed(path)
        except FileNotFoundError:
            return None
        except OSError as e:
            raise UnreadableError(f"{brief(path)} cannot be read: {why(e)}") from e
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, source: Path) -> Manifest:
        """A manifest from its file's contents; ``source`` is named in errors.

        Raises:
            IndexStorageError: it is no manifest.
            IndexMismatchError: it is of a newer schema version.
        """
        try:
            manifest = cls.model_validate_json(content)
        except ValidationError as e:
            if (version := _version(content)) > SCHEMA:
                raise IndexMismatchError(_too_new(source, version)) from e
            first = e.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise IndexStorageError(
                f"{brief(source)} is damaged: {brief(where)}: {first['msg']}"
            ) from e
        if manifest.schema_version > SCHEMA:
            raise IndexMismatchError(_too_new(source, manifest.schema_version))
        if manifest.schema_version < 1 or (manifest.schema_version > 1 and not manifest.checksum):
            raise IndexStorageError(f"{brief(source)} is damaged: it has no checksum")
        return manifest

    @classmethod
    def read_copy(cls, folder: Path) -> Manifest | None:
        """The copy that is kept for ``doctor --repair``; ``None`` if it is no help.

        Raises:
            UnreadableError: the system refuses to read it.
        """
        try:
            return cls.read(folder, name=COPY)
        except UnreadableError:
            raise
        except IndexStorageError:
            return None

    def write(self, folder: Path) -> None:
        """Make this the index's state.

        Raises:
            OSError: the index's state is as it was.
        """
        write_durably(folder / MANIFEST, self.sealed())

    def write_copy(self, folder: Path) -> None:
        """Keep a copy of the manifest for ``doctor --repair``.

        Raises:
            OSError: the copy is as it was.
        """
        write_durably(folder / COPY, self.sealed())

    def sealed(self) -> bytes:
        """The file's contents, with their checksum."""
        unsealed = self.model_copy(update={"schema_version": SCHEMA, "checksum": ""})
        return sealed(unsealed.model_dump_json(indent=1))


def _too_new(source: Path, version: int) -> str:
    return (
        f"{source} has schema version {version}, and this release reads up to {SCHEMA}; "
        "open it with the release that wrote it: pip install --upgrade s3-retriever"
    )


def _version(content: bytes) -> int:
    """The schema version of a manifest that this release cannot read otherwise."""
    found = re.search(rb'"schema_version":\s*([0-9]{1,9})\b', content)
    return int(found.group(1)) if found else 0
