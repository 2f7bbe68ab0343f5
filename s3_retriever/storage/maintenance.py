"""Upkeep of an index without its model: deleting, new metadata, compaction, copies.

Every function takes an index and holds its writer's lock while it works.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from s3_retriever.errors import IndexLockedError, IndexStorageError, InputError
from s3_retriever.paths import bound
from s3_retriever.quoting import brief, why
from s3_retriever.search.filters import Filter, compile_filter
from s3_retriever.storage.files import sync_folder
from s3_retriever.storage.folder import IndexFolder, outside_indexes
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import Manifest, SegmentRecord
from s3_retriever.storage.places import unfinished
from s3_retriever.storage.segments import relabelled
from s3_retriever.types import Document, EncodedDocument
from s3_retriever.validation import stored_metadata

__all__ = ["Compaction", "compact", "delete", "delete_where", "snapshot", "update_metadata"]

_ATTEMPTS = 5
"""To copy an index that changes meanwhile and cannot be locked."""

TARGET_TOKENS = 1 << 20
"""Tokens of a segment that compaction makes; a smaller one is joined with its neighbours. About
110 MB, of which two copies are in memory for a moment."""


@dataclass(frozen=True)
class Compaction:
    """What a compaction did."""

    segments: tuple[int, int]
    """Before and after."""
    n_bytes: tuple[int, int]
    """Of the forward store, before and after."""


def delete(index: Index, ids: Iterable[str]) -> int:
    """Remove documents; returns how many were there.

    Raises:
        IndexLockedError: another process is writing.
        IndexStorageError: the folder cannot be written; the index is as it was.
    """
    with index.writing():
        known = [i for i in dict.fromkeys(ids) if i in index.snapshot.live]
        if known:
            index.commit([], delete=known)
        return len(known)


def delete_where(index: Index, condition: Filter) -> int:
    """Remove the documents whose metadata pass a filter; returns how many.

    An empty filter is refused: it would pass everything.

    Raises:
        InputError: no filter.
        IndexLockedError: another process is writing.
        IndexStorageError: the folder cannot be written; the index is as it was.
    """
    if not condition:
        raise InputError("an empty filter would delete every document; give their ids if so meant")
    match = compile_filter(condition)
    with index.writing():
        live = index.snapshot.live
        found = [i for i, (_, entry) in live.items() if match(entry.metadata)]
        if found:
            index.commit([], delete=found)
        return len(found)


def update_metadata(index: Index, changes: Mapping[str, Mapping[str, Any]]) -> int:
    """Give documents new metadata; their texts are not read again. Returns how many were there.

    Args:
        index: to be changed.
        changes: by id, the whole of the new metadata.

    Raises:
        InputError: metadata that cannot be stored; names the document, nothing was changed.
        IndexLockedError: another process is writing.
        IndexStorageError: the folder cannot be written; the index is as it was.
    """
    checked = {}
    for doc_id, metadata in changes.items():
        try:
            checked[doc_id] = stored_metadata(metadata)
        except InputError as e:
            raise InputError(f"document {brief(doc_id)}: {e}") from e
    with index.writing():
        live = index.snapshot.live
        coded = []
        for doc_id, metadata in checked.items():
            if doc_id in live:
                segment, entry = live[doc_id]
                old = segment.encoded(entry)
                coded.append(relabelled(old, Document(doc_id, old.document.text, metadata)))
        if coded:
            index.commit(coded)
        return len(coded)


def compact(index: Index, target_tokens: int = TARGET_TOKENS) -> Compaction:
    """Write the index anew without what was deleted, in few segments; questions go on meanwhile.

    Needs as much free space as the compacted index, for a moment. Nothing happens to an index
    that is compact already.

    Raises:
        IndexLockedError: another process is writing.
        IndexStorageError: the folder cannot be written; the index is as it was.
    """
    with index.writing():
        before = index.snapshot.manifest.segments
        dead = index.candidates.n_dead_blocks()  # of segments that were dropped as a whole, too
        if dead or not _is_compact(index, before, target_tokens):
            index.replace(_parts(index, before, target_tokens))
        after = index.snapshot.manifest.segments
        return Compaction(
            (len(before), len(after)),
            (sum(r.n_bytes for r in before), sum(r.n_bytes for r in after)),
        )


def snapshot(index: Index, folder: Path) -> None:
    """Copy the index, as of its last commit, to ``folder``, where it can be opened.

    The copy has no part in later changes. Namespaces are indexes of their own and not copied. An
    index in memory is written. Of a folder that may only be read the copy is taken without the
    lock, and again if it was changed meanwhile.

    Raises:
        IndexLockedError: another process is writing.
        IndexStorageError: ``folder`` exists and is not empty, lies in an index, or cannot be
            written.
    """
    folder = bound(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise IndexStorageError(f"{brief(folder)} exists and is not empty; give a new folder")
    outside_indexes(folder, index.folder)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with unfinished(folder) as copy:
            if index.folder is None:
                _write(index, copy)
            elif os.access(index.folder, os.W_OK):
                with index.writing():
                    _copy(IndexFolder(index.folder), index.snapshot.manifest, copy)
            else:
                _copy_unlocked(index, IndexFolder(index.folder), copy)
            if folder.exists():
                folder.rmdir()
            os.replace(copy, folder)
        sync_folder(folder.absolute().parent)
    except OSError as e:
        raise IndexStorageError(
            f"cannot copy index {brief(index.folder)} to {brief(folder)}: {why(e)}"
        ) from e


def _copy_unlocked(index: Index, files: IndexFolder, target: Path) -> None:
    """Copy a folder in which no lock can be made; if somebody else writes to it, begin again."""
    for _ in range(_ATTEMPTS):
        index.refresh()
        manifest = index.snapshot.manifest
        before = files.contents_of_state(manifest)
        try:
            _copy(files, manifest, target)
        except OSError:  # a file that is gone, or something worse
            if files.contents_of_state(manifest) == before:
                raise
        else:
            if files.contents_of_state(manifest) == before:
                return
        shutil.rmtree(target)
    raise IndexLockedError(f"index {brief(files.path)} is being written; wait until it is done")


def _write(index: Index, target: Path) -> None:
    copy = Index(target, index.card, index.weights)
    waiting: list[EncodedDocument] = []
    n_waiting = 0
    with copy.writing():
        for segment, entry in index.snapshot.live.values():
            waiting.append(segment.encoded(entry))
            n_waiting += entry.n_tokens
            if n_waiting >= TARGET_TOKENS:
                copy.commit(waiting)
                waiting, n_waiting = [], 0
        if waiting or not index.snapshot.live:
            copy.commit(waiting)


def _copy(files: IndexFolder, manifest: Manifest, target: Path) -> None:
    files.check()
    there = IndexFolder(target)
    there.segments.mkdir(parents=True)
    for record in manifest.segments:
        _copy_file(files.segment(record.name), there.segment(record.name))
        if record.listing_sha256:
            _copy_file(files.listing(record.name), there.listing(record.name))
    if files.search(manifest).exists():
        shutil.copytree(
            files.search(manifest),
            there.search(manifest),
            copy_function=_copy_file,
            ignore=shutil.ignore_patterns("*.lock"),
        )
    for path in files.state():
        _copy_file(path, target / path.name)
    sync_folder(target)


def _copy_file(source: str | Path, target: str | Path) -> None:
    shutil.copyfile(source, target)
    with Path(target).open("rb+") as file:
        os.fsync(file.fileno())


def _is_small(record: SegmentRecord, target_tokens: int) -> bool:
    return record.n_tokens < target_tokens // 2


def _is_compact(index: Index, records: Sequence[SegmentRecord], target_tokens: int) -> bool:
    small = [_is_small(record, target_tokens) for record in records]
    neighbours = any(a and b for a, b in pairwise(small))
    old = any(_is_old(index, record) for record in records)
    return not (neighbours or old or any(record.deleted for record in records))


def _is_old(index: Index, record: SegmentRecord) -> bool:
    """Whether a segment is of an older schema: without a second listing or stored bounds."""
    return record.listing_sha256 is None or not index.snapshot.segments[record.name].has_bounds


def _parts(
    index: Index, records: Sequence[SegmentRecord], target_tokens: int
) -> Iterator[SegmentRecord | list[EncodedDocument]]:
    """The records that stay, and the documents of all others in pieces of the right size."""
    waiting: list[EncodedDocument] = []
    n_waiting = 0
    live = index.snapshot.live
    for number, record in enumerate(records):
        alone = not waiting and not (
            number + 1 < len(records) and _is_small(records[number + 1], target_tokens)
        )
        sound = not _is_old(index, record) and not record.deleted
        if sound and (alone or not _is_small(record, target_tokens)):
            if waiting:
                yield waiting
                waiting, n_waiting = [], 0
            yield record
            continue
        segment = index.snapshot.segments[record.name]
        for entry in segment.entries:
            if entry.id in live and live[entry.id][1] is entry:
                waiting.append(segment.encoded(entry))
                n_waiting += entry.n_tokens
            if n_waiting >= target_tokens:
                yield waiting
                waiting, n_waiting = [], 0
    if waiting:
        yield waiting
