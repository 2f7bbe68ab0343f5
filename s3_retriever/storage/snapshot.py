"""The documents as of one commit."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.manifest import Manifest, SegmentRecord
from s3_retriever.storage.segment_format import Entry
from s3_retriever.storage.segments import Segment
from s3_retriever.types import Document, Metadata

__all__ = ["LiveDocuments", "Snapshot", "live_blocks", "live_tokens", "read_snapshot"]


_Place = tuple[Segment, Entry]


class LiveDocuments(Mapping[str, _Place]):
    """Every document by id, in order of addition; made in time of the segments, not of these."""

    def __init__(self, parts: Sequence[tuple[Segment, frozenset[int]]]) -> None:
        """Take segments in order, and the numbers of those of their documents that are gone."""
        self._parts = parts

    def __getitem__(self, doc_id: str) -> _Place:
        """Where a document lies."""
        for segment, gone in reversed(self._parts):
            number = segment.ordinals.get(doc_id)
            if number is not None and number not in gone:
                return segment, segment.entries[number]
        raise KeyError(doc_id)

    def __iter__(self) -> Iterator[str]:
        """Ids."""
        return (entry.id for _, entry in self.places())

    def __len__(self) -> int:
        """How many."""
        return sum(
            len(segment.ordinals) - sum(segment.ordinals[segment.entries[n].id] == n for n in gone)
            for segment, gone in self._parts
        )

    def places(self) -> Iterator[_Place]:
        """Where they lie, without looking for each."""
        for segment, gone in self._parts:
            for number in segment.ordinals.values():
                if number not in gone:
                    yield segment, segment.entries[number]

    def values(self) -> ValuesView[_Place]:
        """Where they lie."""
        return _Places(self)

    def items(self) -> ItemsView[str, _Place]:
        """Ids, and where they lie."""
        return _PlacesById(self)


class _Places(ValuesView[_Place]):
    def __init__(self, live: LiveDocuments) -> None:
        super().__init__(live)
        self._live = live

    def __iter__(self) -> Iterator[_Place]:
        return self._live.places()


class _PlacesById(ItemsView[str, _Place]):
    def __init__(self, live: LiveDocuments) -> None:
        super().__init__(live)
        self._live = live

    def __iter__(self) -> Iterator[tuple[str, _Place]]:
        return ((entry.id, (segment, entry)) for segment, entry in self._live.places())


@dataclass(frozen=True)
class Snapshot:
    """The index as of one commit. Never changes."""

    manifest: Manifest
    segments: Mapping[str, Segment]

    @cached_property
    def live(self) -> LiveDocuments:
        """Every document by id."""
        records = self.manifest.segments
        return LiveDocuments([(self.segments[r.name], frozenset(r.deleted)) for r in records])

    @cached_property
    def ids_by_hash(self) -> dict[str, list[str]]:
        """Documents of the same text, by its hash, in order of addition."""
        found: dict[str, list[str]] = {}
        for doc_id, (_, entry) in self.live.items():
            found.setdefault(entry.hash, []).append(doc_id)
        return found

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of all live documents."""
        return sum(live_tokens(self.segments[r.name], r) for r in self.manifest.segments)

    @cached_property
    def n_blocks(self) -> int:
        """Blocks of all live documents."""
        return sum(live_blocks(self.segments[r.name], r) for r in self.manifest.segments)

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
                ids = segment.codes(slice(*segment.entries[ordinal].tokens))
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


def live_tokens(segment: Segment, record: SegmentRecord) -> int:
    """Tokens of a segment's documents that are not deleted."""
    return segment.n_tokens - sum(segment.entries[n].n_tokens for n in record.deleted)


def live_blocks(segment: Segment, record: SegmentRecord) -> int:
    """Blocks of a segment's documents that are not deleted."""
    return segment.n_blocks - sum(segment.entries[n].n_blocks for n in record.deleted)


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
