"""Make an index whole again: keep what is sound, read again what can be, name what is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.paths import bound
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, why
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.check import Damage, damages, read_manifest
from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.index import Index
from s3_retriever.storage.lock import writer_lock
from s3_retriever.storage.manifest import SegmentRecord
from s3_retriever.storage.places import free_name
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot
from s3_retriever.storage.view import View
from s3_retriever.types import Document, EncodedDocument

__all__ = ["Repaired", "repair"]

Rescan = Callable[[Sequence[Document]], Iterable[EncodedDocument]]


@dataclass(frozen=True)
class Repaired:
    """What became of the documents of damaged segments."""

    kept: tuple[str, ...] = ()
    """Ids of those that were whole all the same."""
    rescanned: tuple[str, ...] = ()
    """Ids of those whose codes were made anew from their text."""
    lost: tuple[str, ...] = ()
    """Ids of those that have to be indexed again."""
    unknown: tuple[str, ...] = ()
    """Segments of which not even the ids are left."""


def repair(folder: Path, card: ProfileCard, rescan: Rescan | None = None) -> Repaired:
    """Rebuild the search part from the forward store, and damaged segments from what is left.

    The index changes in one commit at the end. Damaged files are kept in ``damaged/``.

    Args:
        folder: of the index.
        card: of the profile it was made with.
        rescan: reads documents whose text survives and whose codes do not; without it they count
            as lost.

    Raises:
        IndexLockedError: another process is writing.
        IndexStorageError: there is no index, its manifest is damaged beyond repair, or the folder
            cannot be written.
        IndexMismatchError: it was made with another profile.
    """
    folder = bound(folder)
    files = IndexFolder(folder)
    files.check()
    with writer_lock(folder):
        manifest = read_manifest(folder, repair=True)
        affected = {damage.record.name: damage for damage in damages(files, manifest)}
        segments = {
            record.name: Segment.open(files.segment(record.name), record.listing_sha256)
            for record in manifest.segments
            if record.name not in affected
        }
        nothing = TantivyIndex.open(None, len(card.hookpoints), card.n_latents)
        index = Index(folder, card, view=View(Snapshot(manifest, segments), nothing))
        for damage in affected.values():
            _keep_aside(files, damage.record)
        files.remove_unnamed(manifest)
        read: list[str] = []

        def parts() -> Iterator[SegmentRecord | Sequence[EncodedDocument]]:
            for record in manifest.segments:
                if record.name not in affected:
                    yield record
                elif coded := _rescued(affected[record.name], rescan):
                    read.extend(i for i in affected[record.name].ids("codes lost") if rescan)
                    yield coded

        index.replace(parts())
    lost = {
        i for d in affected.values() for status in ("lost", "codes lost") for i in d.ids(status)
    }
    return Repaired(
        kept=tuple(i for d in affected.values() for i in d.ids("whole")),
        rescanned=tuple(read),
        lost=tuple(sorted(lost - set(read))),
        unknown=tuple(name for name, damage in affected.items() if not damage.statuses),
    )


def _rescued(damage: Damage, rescan: Rescan | None) -> list[EncodedDocument]:
    """The documents of a damaged segment that can be had, in their order."""
    segment = damage.segment
    if segment is None:
        return []
    entries = {entry.id: entry for entry in segment.entries if entry.id in damage.statuses}
    unread = [
        Document(i, segment.text(entries[i]), entries[i].metadata) for i in damage.ids("codes lost")
    ]
    again = {c.document.id: c for c in rescan(unread)} if rescan and unread else {}
    whole = {i: segment.encoded(entries[i]) for i in damage.ids("whole")}
    found = {**whole, **again}
    return [found[i] for i in entries if i in found]


def _keep_aside(files: IndexFolder, record: SegmentRecord) -> None:
    """A second name for a damaged file: under its first one it will be removed."""
    path = files.segment(record.name)
    if not path.exists():
        return
    try:
        files.damaged.mkdir(exist_ok=True)
        target = free_name(files.damaged / path.name)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
    except OSError as e:
        raise IndexStorageError(f"cannot keep {brief(path)} aside: {why(e)}") from e
