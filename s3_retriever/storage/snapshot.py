"""The documents as of one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.segment_format import Entry
from s3_retriever.storage.segments import Segment
from s3_retriever.types import Document, Metadata

__all__ = ["Snapshot", "read_snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """The index as of one commit. Never changes."""

    manifest: Manifest
    segments: Mapping[str, Segment]

    @cached_property
    def live(self) -> dict[str, tuple[Segment, Entry]]:
        """Every document by id."""
        found = {}
        for record in self.manifest.segments:
            segment = self.segments[record.name]
            gone = set(record.deleted)
            for ordinal, entry in enumerate(segment.entries):
                if ordinal not in gone:
                    found[entry.id] = (segment, entry)
        return found

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of all live documents."""
        return sum(entry.n_tokens for _, entry in self.live.values())

    @cached_property
    def n_blocks(self) -> int:
        """Blocks of all live documents."""
        return sum(entry.n_blocks for _, entry in self.live.values())

    @cached_property
    def df(self) -> np.ndarray:
        """Live tokens at which each latent is active: ``(n_hookpoints, n_latents)`` int64.

        Only defined where there is a document.
        """
        total = np.stack([s.df for s in self.segments.values()]).astype(np.int64).sum(axis=0)
        assert isinstance(total, np.ndarray)
        for record in self.manifest.segments:
            segment = self.segments[record.name]
            for ordinal in record.deleted:
                ids = segment.ids[slice(*segment.entries[ordinal].tokens)]
                for hookpoint in range(ids.shape[1]):
                    np.subtract.at(total[hookpoint], ids[:, hookpoint].ravel(), 1)
        return total

    def documents(self) -> list[Document]:
        """Every document as it was added.

        Raises:
            IndexStorageError: a text was damaged since.
        """
        return [
            Document(entry.id, segment.text(entry), entry.metadata)
            for segment, entry in self.live.values()
        ]

    def matching(self, predicate: Callable[[Metadata], bool]) -> dict[str, list[int]]:
        """Numbers of the documents whose metadata pass, by segment name."""
        found: dict[str, list[int]] = {}
        for segment, entry in self.live.values():
            if predicate(entry.metadata):
                found.setdefault(segment.name, []).append(segment.ordinals[entry.id])
        return found


def read_snapshot(folder: Path, manifest: Manifest) -> Snapshot:
    """The documents on disk, without a profile and without the search part.

    Raises:
        IndexStorageError: a segment is missing or damaged.
    """
    files = IndexFolder(folder)
    segments = {
        record.name: Segment.open(files.segment(record.name), record.listing_sha256)
        for record in manifest.segments
    }
    return Snapshot(manifest, segments)
