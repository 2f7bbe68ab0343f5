"""What is wrong with an index on disk, and whose documents it hurts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.search.base import BlockIndex
from s3_retriever.storage.files import read_sealed
from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import COPY, MANIFEST, Manifest, SegmentRecord
from s3_retriever.storage.places import UnreadableError
from s3_retriever.storage.segment_format import UNREADABLE, Entry, read_listing
from s3_retriever.storage.segments import Segment

__all__ = ["Damage", "damages", "problems", "read_manifest"]

Status = Literal["whole", "codes lost", "lost"]
"""Of a document in a damaged segment. Where only the codes are lost, its text can be read again."""

_MOST_NAMED = 20
"""Documents that one sentence names."""


@dataclass(frozen=True)
class Damage:
    """A segment that is not as it was written."""

    record: SegmentRecord
    reason: str
    statuses: Mapping[str, Status] = field(default_factory=dict)
    """Of its live documents by id; empty if not even the listing is left."""
    segment: Segment | None = None
    """What can still be read of it; only documents that are not ``lost`` may be asked for."""

    def ids(self, status: Status) -> list[str]:
        """Documents with this status."""
        return [i for i, f in self.statuses.items() if f == status]

    def __str__(self) -> str:
        """One sentence that names the documents that are affected."""
        if not self.statuses:
            return f"segment {brief(self.record.name)} {self.reason}; its documents are unknown"
        parts = [
            f"{status}: {_named(self.ids(status))}"
            for status in ("lost", "codes lost")
            if self.ids(status)
        ]
        if whole := self.ids("whole"):
            parts.append(f"{len(whole)} of its documents are whole")
        return f"segment {brief(self.record.name)} {self.reason}; {'; '.join(parts)}"


def read_manifest(folder: Path, *, repair: bool = False) -> Manifest:
    """The manifest of the index in ``folder``; for repair, from its copy if need be.

    For repair the copy is taken too where it is newer, or has its segments and the manifest has
    not: then a backup was restored in part, or with another index's manifest.

    Raises:
        IndexStorageError: there is none, or it is damaged.
        UnreadableError: the system refuses to read it.
        IndexMismatchError: it is of a newer schema version.
    """
    files = IndexFolder(folder)
    files.check()
    copy = Manifest.read_copy(folder) if repair else None
    try:
        manifest = Manifest.read(folder)
    except (IndexMismatchError, UnreadableError):
        raise
    except IndexStorageError:
        if copy is None:
            raise
        manifest = None
    found = [m for m in (manifest, copy) if m is not None]
    if found:
        manifest = max(found, key=lambda m: (files.has_segments(m), m.generation))
    if manifest is None and repair:
        raise IndexStorageError(
            f"{brief(folder)} has neither {MANIFEST} nor {COPY}, and nothing else says what its "
            "segments are; put one back from a backup"
        )
    if manifest is None:
        raise IndexStorageError(
            f"there is no {brief(folder / MANIFEST)}; if there was one: "
            f"s3-retriever doctor --index {brief(folder)} --repair"
        )
    return manifest


def damages(files: IndexFolder, manifest: Manifest) -> Iterator[Damage]:
    """Every segment that is not as it was written; reads all of their bytes.

    Raises:
        UnreadableError: the system refuses to read one: nobody knows whether it is damaged.
    """
    try:
        yield from _damages(files, manifest)
    except OSError as e:
        raise UnreadableError(f"index {brief(files.path)} cannot be read: {why(e)}") from e


def _damages(files: IndexFolder, manifest: Manifest) -> Iterator[Damage]:
    for record in manifest.segments:
        path = files.segment(record.name)
        listing = _second_listing(files, record)
        if not path.is_file():
            yield Damage(record, "is missing", _all_lost(listing, record))
        elif path.stat().st_size != record.n_bytes or sha256_of(path) != record.sha256:
            yield _examine(path, record, listing)
        elif record.listing_sha256 and listing is None:
            segment = Segment.open(path, record.listing_sha256)
            statuses: dict[str, Status] = {e.id: "whole" for e in _live(segment.entries, record)}
            yield Damage(record, "has a damaged second listing", statuses, segment)


def problems(folder: Path, card: ProfileCard) -> Iterator[str]:
    """What a thorough look finds wrong, one sentence each; nothing if all is well.

    Raises:
        IndexStorageError: there is no index, or its manifest is damaged.
        IndexMismatchError: it was made with another profile or a newer schema version.
    """
    files = IndexFolder(folder)
    manifest = read_manifest(folder)
    if manifest.schema_version > 1:
        try:
            copy = Manifest.parse(read_sealed(folder / COPY), folder / COPY)
            if copy.generation > manifest.generation:
                yield f"{MANIFEST} is older than {COPY}: it was restored without the rest"
        except (OSError, IndexStorageError) as e:
            yield f"the second manifest is missing or damaged ({e})"
    affected = [str(damage) for damage in damages(files, manifest)]
    yield from affected
    of_search = list(files.search_record.problems(manifest))
    yield from of_search
    if affected or of_search:
        return  # what an index says that is damaged is worth nothing
    try:
        index = Index(folder, card)
    except (IndexMismatchError, UnreadableError):
        raise
    except IndexStorageError as e:
        yield str(e)
        return
    yield from _content_problems(index, card)


def _content_problems(index: Index, card: ProfileCard) -> Iterator[str]:
    """What checksums cannot tell: whether the parts fit each other."""
    snapshot = index.snapshot
    for record in snapshot.manifest.segments:
        segment = snapshot.segments[record.name]
        for entry in _live(segment.entries, record):
            if not segment.fits(entry, card.n_latents):
                yield f"the codes of document {quoted(entry.id)} are none of this profile's"
        expected = sum(e.n_blocks for e in _live(segment.entries, record))
        found = _blocks(index.candidates, record.name)
        if found != expected:
            name = brief(record.name)
            yield f"segment {name} has {found} of {expected} blocks in the search part"
    if orphans := set(index.candidates.segments()) - set(snapshot.segments):
        yield f"the search part holds segments that are no more: {_named(sorted(orphans))}"


def _named(ids: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(map(brief, ids[:_MOST_NAMED])) + more


def _blocks(candidates: BlockIndex, segment: str) -> int:
    try:
        return candidates.segment_blocks(segment)
    except IndexStorageError:
        return -1


def _examine(path: Path, record: SegmentRecord, second: bytes | None) -> Damage:
    """Which documents of a damaged file can still be trusted."""
    try:
        segment = Segment.open(path, record.listing_sha256)
    except UnreadableError:
        raise
    except IndexStorageError:
        try:
            if second is None:
                raise
            segment = Segment.open(path, listing=second)
        except UnreadableError:
            raise
        except IndexStorageError:
            return Damage(record, "is damaged", _all_lost(second, record))
    live = _live(segment.entries, record)
    statuses: dict[str, Status] = {entry.id: _status(segment, entry) for entry in live}
    return Damage(record, "is damaged", statuses, segment)


def _status(segment: Segment, entry: Entry) -> Status:
    try:
        segment.text(entry)
    except (IndexStorageError, ValueError):
        return "lost"
    return "whole" if segment.codes_digest(entry) == entry.codes else "codes lost"


def _second_listing(files: IndexFolder, record: SegmentRecord) -> bytes | None:
    """The listing beside the segment, if it is as it was written."""
    if record.listing_sha256 is None:
        return None
    try:
        content = files.listing(record.name).read_bytes()
    except FileNotFoundError:
        return None
    return content if hashlib.sha256(content).hexdigest() == record.listing_sha256 else None


def _all_lost(listing: bytes | None, record: SegmentRecord) -> dict[str, Status]:
    if listing is None:
        return {}
    try:
        return {e.id: "lost" for e in _live(tuple(read_listing(listing)), record)}
    except UNREADABLE:
        return {}


def _live(entries: tuple[Entry, ...], record: SegmentRecord) -> Iterator[Entry]:
    gone = set(record.deleted)
    return (e for n, e in enumerate(entries) if n not in gone)
