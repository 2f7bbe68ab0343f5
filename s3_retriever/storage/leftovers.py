"""What a commit leaves of earlier ones: documents marked as deleted, blocks that nobody needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from s3_retriever.search.base import BlockIndex
from s3_retriever.storage.manifest import SegmentRecord
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot, live_blocks

__all__ = ["Superfluous", "left_in", "left_over", "without"]

Superfluous = dict[str, Collection[int] | None]
"""What the search part holds in excess: numbers of a segment's documents, or ``None`` for all."""


def without(record: SegmentRecord, segment: Segment, gone: set[str]) -> SegmentRecord:
    """The record with the documents of ``gone`` marked as deleted."""
    before = set(record.deleted)
    ordinals = {n for i in gone if (n := segment.ordinals.get(i)) is not None} - before
    if not ordinals:
        return record
    return record.model_copy(update={"deleted": tuple(sorted(before | ordinals))})


def left_over(before: Mapping[str, SegmentRecord], now: Iterable[SegmentRecord]) -> Superfluous:
    """What a commit makes superfluous, given the records of before by name and those of now."""
    staying = [record for record in now if record.name in before]
    found: Superfluous = dict.fromkeys(set(before) - {record.name for record in staying})
    for record in staying:
        if numbers := set(record.deleted) - set(before[record.name].deleted):
            found[record.name] = numbers
    return found


def left_in(candidates: BlockIndex, snapshot: Snapshot) -> Superfluous:
    """What a search part holds beyond a state, whoever left it there."""
    known = {record.name: record for record in snapshot.manifest.segments}
    found: Superfluous = {
        name: record.deleted
        for name, record in known.items()
        if record.deleted
        and candidates.segment_blocks(name) > live_blocks(snapshot.segments[name], record)
    }
    return found | dict.fromkeys(set(candidates.segments()) - set(known))
