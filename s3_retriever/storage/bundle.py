"""Bundles: an index's documents and codes as one file, to be moved or merged elsewhere.

A zip file without compression: the manifest and the segments, as they lie in the index. Nothing in
it is executed or unpacked to a name of its own choosing, and it can hold no more bytes than it has.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import IndexStorageError, InputError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.files import sync_folder
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import MANIFEST, Manifest, SegmentRecord
from s3_retriever.storage.segments import Segment
from s3_retriever.types import EncodedDocument

__all__ = ["Imported", "export_bundle", "import_bundle"]

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
        IndexStorageError: the file cannot be written; nothing is left of it.
    """
    snapshot = index.snapshot
    if not snapshot.live:
        raise InputError("there are no documents to export")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with tempfile.TemporaryDirectory(prefix="s3-retriever-") as scratch:
            _write(index, unfinished, Path(scratch))
        os.replace(unfinished, path)
        sync_folder(path.absolute().parent)
    except OSError as e:
        raise IndexStorageError(f"cannot write bundle {path}: {e}") from e
    finally:
        unfinished.unlink(missing_ok=True)
    return len(snapshot.live)


def import_bundle(index: Index, path: Path) -> Imported:
    """Add the documents of a bundle; one whose id is there is replaced. No text is read anew.

    What was taken in is committed piece by piece; an interrupted import can be repeated.

    Raises:
        IndexMismatchError: it was made with another profile or other weights of the model.
        IndexStorageError: it is no bundle, is damaged, or the index cannot be written.
        IndexLockedError: another process is writing.
    """
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as bundle:
            manifest = _manifest_of(bundle, path, os.fstat(raw.fileno()).st_size)
            index.check(manifest, str(path))
            with tempfile.TemporaryDirectory(prefix="s3-retriever-") as scratch, index.writing():
                index.accept(manifest, str(path))
                return _take_in(index, _batches(bundle, manifest, Path(scratch), index.card))
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError, RuntimeError) as e:
        raise IndexStorageError(f"bundle {path} cannot be read: {e}") from e


def _write(index: Index, path: Path, scratch: Path) -> None:
    snapshot = index.snapshot
    records = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for record in snapshot.manifest.segments:
            segment = snapshot.segments[record.name]
            copy = scratch / "segment"  # the mapped one: its file may be gone since
            digest, listing_digest = segment.write(copy)
            bundle.write(copy, _member(record.name))
            records.append(
                SegmentRecord(
                    name=record.name,
                    sha256=digest,
                    listing_sha256=listing_digest,
                    n_bytes=copy.stat().st_size,
                    n_tokens=segment.n_tokens,
                    deleted=record.deleted,
                )
            )
        manifest = snapshot.manifest.model_copy(update={"segments": tuple(records)})
        manifest.write(scratch)
        bundle.write(scratch / MANIFEST, MANIFEST)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _manifest_of(bundle: zipfile.ZipFile, path: Path, size: int) -> Manifest:
    """The bundle's manifest, once all members are known to be harmless."""
    members = {info.filename: info for info in bundle.infolist()}
    if len(members) < len(bundle.infolist()):
        raise IndexStorageError(f"{path} is no bundle: a member is there twice")
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members.values()):
        raise IndexStorageError(f"{path} is no bundle: it has compressed or encrypted members")
    if sum(m.file_size for m in members.values()) > size:
        raise IndexStorageError(f"{path} is no bundle: its members claim to be larger than it is")
    if MANIFEST not in members:
        raise IndexStorageError(f"{path} is no bundle: it has no {MANIFEST}")
    manifest = Manifest.parse(bundle.read(MANIFEST), path)
    expected = {_member(record.name): record.n_bytes for record in manifest.segments}
    found = {name: info.file_size for name, info in members.items() if name != MANIFEST}
    if found != expected:
        raise IndexStorageError(f"{path} is no bundle: its members are not those of its manifest")
    return manifest


def _batches(
    bundle: zipfile.ZipFile, manifest: Manifest, scratch: Path, card: ProfileCard
) -> Iterator[list[EncodedDocument]]:
    """The live documents of every segment, checked, in pieces that fit into memory."""
    for record in manifest.segments:
        path = scratch / "segment"
        with bundle.open(_member(record.name)) as source, path.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
        if sha256_of(path) != record.sha256:
            raise IndexStorageError(f"segment {record.name} of the bundle is damaged")
        segment = Segment.open(path, record.listing_sha256)
        if not segment.suits(card):
            raise IndexStorageError(f"segment {record.name} of the bundle has another shape")
        gone = set(record.deleted)
        batch: list[EncodedDocument] = []
        waiting = 0
        for ordinal, entry in enumerate(segment.entries):
            if ordinal in gone:
                continue
            if not segment.fits(entry, card.n_latents):
                raise IndexStorageError(f"the codes of document {entry.id!r} are out of range")
            batch.append(segment.encoded(entry))
            waiting += entry.n_tokens
            if waiting >= _COMMIT_TOKENS:
                yield batch
                batch, waiting = [], 0
        if batch:
            yield batch
        del segment, batch
        path.unlink()


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
