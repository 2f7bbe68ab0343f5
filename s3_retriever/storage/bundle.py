"""Bundles: an index's documents and codes as one file, to be moved or merged elsewhere.

A zip file without compression: the manifest and the segments, as they lie in the index. Nothing in
it is executed or unpacked to a name of its own choosing, and it can hold no more bytes than it has.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from s3_retriever.errors import IndexStorageError, InputError
from s3_retriever.paths import bound
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.storage.files import sync_folder
from s3_retriever.storage.folder import outside_indexes
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import MANIFEST, Manifest, SegmentRecord
from s3_retriever.storage.places import unfinished
from s3_retriever.storage.segments import Segment
from s3_retriever.types import EncodedDocument
from s3_retriever.validation import stored

__all__ = ["Imported", "export_bundle", "import_bundle", "opened_bundle", "write_bundle"]

_COMMIT_TOKENS = 1 << 18
"""Tokens that an import commits at once."""


@dataclass(frozen=True)
class Imported:
    """What an import did; ids."""

    added: tuple[str, ...]
    updated: tuple[str, ...]


def export_bundle(index: Index, path: Path) -> int:
    """Write the index's documents, as of now, into one file; returns how many.

    Takes no lock. Deleted documents stay out of an import; compact first to leave their bytes out,
    too. Namespaces are indexes of their own and not in it.

    Raises:
        InputError: the index is empty.
        IndexStorageError: the file cannot be written, nothing is left of it; or it would lie in an
            index.
    """
    path = bound(path)
    snapshot = index.snapshot
    if not snapshot.live:
        raise InputError("there are no documents to export")
    outside_indexes(path, index.folder)
    records = snapshot.manifest.segments
    write_bundle(path, snapshot.manifest, ((snapshot.segments[r.name], r.deleted) for r in records))
    return len(snapshot.live)


def write_bundle(
    path: Path, manifest: Manifest, segments: Iterable[tuple[Segment, tuple[int, ...]]]
) -> None:
    """Write segments into a bundle, in one step.

    Args:
        path: of the bundle.
        manifest: of the index they come from.
        segments: and the numbers of each one's deleted documents.

    Raises:
        IndexStorageError: the file cannot be written; nothing is left of it.
    """
    _check_kind(path, path.lstat, (stat.S_IFREG, stat.S_IFLNK), "write")
    try:
        with unfinished(path) as bundle:
            _write(manifest, segments, bundle)
            os.replace(bundle, path)
        sync_folder(path.absolute().parent)
    except OSError as e:
        raise IndexStorageError(f"cannot write bundle {brief(path)}: {why(e)}") from e


def import_bundle(index: Index, path: Path) -> Imported:
    """Add the documents of a bundle; one whose id is there is replaced. No text is read anew.

    What was taken in is committed piece by piece; an interrupted import can be repeated.

    Raises:
        IndexMismatchError: it was made with another profile or other weights of the model.
        IndexStorageError: it is no bundle, is damaged, or the index cannot be written.
        IndexLockedError: another process is writing.
    """
    path = bound(path)
    with opened_bundle(path, index.card) as (manifest, batches):
        index.check(manifest, str(path))
        with index.writing():
            index.accept(manifest, str(path))
            return _take_in(index, batches)


@contextmanager
def opened_bundle(
    path: Path, card: ProfileCard
) -> Iterator[tuple[Manifest, Iterator[list[EncodedDocument]]]]:
    """A bundle's manifest, and its documents in pieces that fit into memory, checked as they come.

    Args:
        path: of the bundle.
        card: whose sizes the codes must have.

    Raises:
        IndexStorageError: it is no bundle, or damaged.
    """
    _check_kind(path, path.stat, (stat.S_IFREG,), "read")
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as bundle:
            manifest = _manifest_of(bundle, path, os.fstat(raw.fileno()).st_size)
            yield manifest, _batches(bundle, manifest, card)
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError, RuntimeError) as e:
        raise IndexStorageError(f"bundle {brief(path)} cannot be read: {why(e)}") from e


def _check_kind(
    path: Path, look: Callable[[], os.stat_result], kinds: tuple[int, ...], what: str
) -> None:
    """Make sure that nothing is read, or replaced, that is no file: a pipe, a device, a folder."""
    try:
        found = look()
    except OSError:  # it is not there, or whoever opens it is told why not
        return
    if stat.S_IFMT(found.st_mode) not in kinds:
        raise IndexStorageError(f"cannot {what} bundle {brief(path)}: it is no file")


def _write(
    manifest: Manifest, segments: Iterable[tuple[Segment, tuple[int, ...]]], path: Path
) -> None:
    records = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for segment, deleted in segments:
            content = segment.content()  # of the mapped one: its file may be gone since
            bundle.writestr(_member(segment.name), content)
            records.append(
                SegmentRecord(
                    name=segment.name,
                    sha256=hashlib.sha256(content).hexdigest(),
                    listing_sha256=hashlib.sha256(segment.listing()).hexdigest(),
                    n_bytes=len(content),
                    n_tokens=segment.n_tokens,
                    deleted=deleted,
                )
            )
        manifest = manifest.model_copy(update={"segments": tuple(records)})
        bundle.writestr(MANIFEST, manifest.sealed())
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _manifest_of(bundle: zipfile.ZipFile, path: Path, size: int) -> Manifest:
    """The bundle's manifest, once all members are known to be harmless."""
    members = {info.filename: info for info in bundle.infolist()}
    if len(members) < len(bundle.infolist()):
        raise IndexStorageError(f"{brief(path)} is no bundle: a member is there twice")
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members.values()):
        raise IndexStorageError(
            f"{brief(path)} is no bundle: it has compressed or encrypted members"
        )
    if sum(m.file_size for m in members.values()) > size:
        raise IndexStorageError(
            f"{brief(path)} is no bundle: its members claim to be larger than it is"
        )
    if MANIFEST not in members:
        raise IndexStorageError(f"{brief(path)} is no bundle: it has no {MANIFEST}")
    manifest = Manifest.parse(bundle.read(MANIFEST), path)
    expected = {_member(record.name): record.n_bytes for record in manifest.segments}
    found = {name: info.file_size for name, info in members.items() if name != MANIFEST}
    if found != expected:
        raise IndexStorageError(
            f"{brief(path)} is no bundle: its members are not those of its manifest"
        )
    return manifest


def _batches(
    bundle: zipfile.ZipFile, manifest: Manifest, card: ProfileCard
) -> Iterator[list[EncodedDocument]]:
    """The live documents of every segment, checked, in pieces that fit into memory."""
    seen: set[str] = set()
    for record in manifest.segments:
        segment = _taken_out(bundle, record)
        if not segment.suits(card):
            raise IndexStorageError(f"segment {brief(record.name)} of the bundle has another shape")
        gone = set(record.deleted)
        batch: list[EncodedDocument] = []
        waiting = 0
        for ordinal, entry in enumerate(segment.entries):
            if ordinal in gone:
                continue
            if entry.id in seen:
                raise IndexStorageError(f"the bundle holds document {quoted(entry.id)} twice")
            seen.add(entry.id)
            if not segment.fits(entry, card.n_latents):
                raise IndexStorageError(
                    f"the codes of document {quoted(entry.id)} are out of range"
                )
            batch.append(_admitted(segment.encoded(entry)))
            waiting += entry.n_tokens
            if waiting >= _COMMIT_TOKENS:
                yield batch
                batch, waiting = [], 0
        if batch:
            yield batch


def _taken_out(bundle: zipfile.ZipFile, record: SegmentRecord) -> Segment:
    """A segment in a file without a name, which is gone with it, even if the process is killed."""
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as target:
        with bundle.open(_member(record.name)) as source:
            while block := source.read(1 << 20):
                target.write(block)
                digest.update(block)
        if digest.hexdigest() != record.sha256:
            raise IndexStorageError(f"segment {brief(record.name)} of the bundle is damaged")
        target.flush()
        return Segment.map(target, Path(record.name), record.listing_sha256)


def _admitted(encoded: EncodedDocument) -> EncodedDocument:
    """The document as ``add`` would have stored it; a bundle brings nothing past its checks."""
    try:
        return replace(encoded, document=stored(encoded.document))
    except InputError as e:
        raise IndexStorageError(f"document {quoted(encoded.document.id)} of the bundle: {e}") from e


def _take_in(index: Index, batches: Iterator[Sequence[EncodedDocument]]) -> Imported:
    added: dict[str, None] = {}
    updated: dict[str, None] = {}
    for batch in batches:
        live = index.snapshot.live
        for item in batch:
            into = updated if item.document.id in live and item.document.id not in added else added
            into[item.document.id] = None
        index.commit(batch)
    return Imported(tuple(added), tuple(updated))


def _member(name: str) -> str:
    return f"segments/{name}.safetensors"
