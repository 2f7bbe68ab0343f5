"""Which small segments a commit writes anew together, so that many small adds stay few files.

Segments are kept in tiers of fourfold size, and of each tier only a few (O'Neil et al. 1996, "The
log-structured merge-tree"): a token is written again at most once a tier. What reaches the last
tier is left to compaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.manifest import SegmentRecord
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import live_tokens
from s3_retriever.types import EncodedDocument

__all__ = ["LARGEST", "LiveSegment", "parts_of_commit", "taken_along", "worn_out"]

FAN = 4
"""Segments of one tier that become one of the next."""
SMALLEST = 1 << 10
"""Tokens below which all segments are of one tier: less than a commit costs anyway."""
LARGEST = 1 << 16
"""Tokens from which a segment is left alone: what one step of a large ``add`` commits."""


@dataclass(frozen=True)
class LiveSegment:
    """A segment and what of it is not deleted."""

    record: SegmentRecord
    n_live: int
    """Tokens."""


def taken_along(segments: Sequence[LiveSegment], n_new: int) -> int:
    """How many of the last segments are written anew with new documents.

    Args:
        segments: in order.
        n_new: tokens of the new documents.

    Example:
        >>> record = SegmentRecord(name="00000001-00000000", sha256="0" * 64, n_bytes=0, n_tokens=9)
        >>> [taken_along([LiveSegment(record, 9)] * n, n_new=9) for n in range(6)]
        [0, 0, 0, 3, 4, 5]
    """
    size, taken = n_new, 0
    while size < LARGEST:
        run = 0
        for segment in reversed(segments[: len(segments) - taken]):
            if segment.record.n_tokens >= LARGEST or _tier(segment.n_live) > _tier(size):
                break
            run += 1
        if run + 1 < FAN:
            break
        size += sum(s.n_live for s in segments[len(segments) - taken - run : len(segments) - taken])
        taken += run
    return taken


def worn_out(segment: LiveSegment) -> bool:
    """Whether most of a segment is deleted, and the rest is cheap to write anew."""
    return segment.n_live * 2 < segment.record.n_tokens <= LARGEST


def parts_of_commit(
    kept: Sequence[SegmentRecord],
    segments: Mapping[str, Segment],
    coded: Sequence[EncodedDocument],
) -> Iterator[SegmentRecord | list[EncodedDocument]]:
    """Segments that stay, and documents of those that are written anew, in order.

    A segment that is damaged stays as it is: doctor has to see it.

    Args:
        kept: segments of which something is left.
        segments: by name.
        coded: new documents.
    """
    live = [LiveSegment(r, live_tokens(segments[r.name], r)) for r in kept]
    n_taken = taken_along(live, sum(map(len, coded))) if coded else 0
    at = len(live) - n_taken
    for one in live[:at]:
        again = _sound_documents(one.record, segments) if worn_out(one) else None
        yield one.record if again is None else again
    together: list[EncodedDocument] = []
    for one in live[at:]:
        again = _sound_documents(one.record, segments)
        if again is not None:
            together += again
            continue
        if together:
            yield together
            together = []
        yield one.record
    if together or coded:
        yield [*together, *coded]


def _sound_documents(
    record: SegmentRecord, segments: Mapping[str, Segment]
) -> list[EncodedDocument] | None:
    """The live documents of a segment; ``None`` if one is not as it was written."""
    segment = segments[record.name]
    gone = set(record.deleted)
    entries = [e for n, e in enumerate(segment.entries) if n not in gone]
    try:
        return [segment.encoded(entry) for entry in entries]
    except IndexStorageError:
        return None


def _tier(n_tokens: int) -> int:
    tier = 0
    while n_tokens >= SMALLEST * FAN**tier:
        tier += 1
    return tier
