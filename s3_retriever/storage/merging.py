"""Which small segments a commit writes anew together, so that many small adds stay few files.

Segments are kept in tiers of fourfold size, and of each tier only a few (O'Neil et al. 1996, "The
log-structured merge-tree"): a token is written again at most once a tier. What reaches the last
tier is left to compaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.storage.manifest import SegmentRecord

__all__ = ["LARGEST", "LiveSegment", "taken_along", "worn_out"]

FAN = 4
"""Segments of one tier that become one of the next."""
SMALLEST = 1 << 12
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


def _tier(n_tokens: int) -> int:
    tier = 0
    while n_tokens >= SMALLEST * FAN**tier:
        tier += 1
    return tier
