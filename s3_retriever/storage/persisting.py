"""An index written to a folder again and again, whatever an earlier time left there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import TARGET_TOKENS, snapshot
from s3_retriever.storage.manifest import MANIFEST
from s3_retriever.types import EncodedDocument

__all__ = ["persist"]

_WAIT = 10.0
"""Seconds that whoever writes to the target may take."""


def persist(index: Index, folder: Path) -> None:
    """Make ``folder`` hold what ``index`` holds.

    An index that is there is replaced by one commit: who reads it goes on reading, and whatever
    moment this dies at, the folder holds either what it held before or all that is new. An index
    that lies in ``folder`` itself is there already.

    Raises:
        IndexLockedError: another process is writing there.
        IndexMismatchError: it holds an index of another profile, or of other weights.
        IndexStorageError: it holds something else, a damaged index say, or cannot be written.
    """
    index.refresh()
    if index.folder is not None and index.folder.resolve() == folder.resolve():
        return
    if not (folder / MANIFEST).exists():
        snapshot(index, folder)
        return
    there = Index(folder, index.card, index.weights)
    with there.writing(wait=_WAIT):
        there.replace(_pieces(index))


def _pieces(index: Index) -> Iterator[list[EncodedDocument]]:
    """All documents, in pieces of the size of a segment."""
    waiting: list[EncodedDocument] = []
    n_waiting = 0
    for segment, entry in index.snapshot.live.values():
        waiting.append(segment.encoded(entry))
        n_waiting += entry.n_tokens
        if n_waiting >= TARGET_TOKENS:
            yield waiting
            waiting, n_waiting = [], 0
    if waiting:
        yield waiting
