"""What an index of many tokens needs, worked out from what was measured on small ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10

from s3_retriever.errors import InputError

__all__ = ["MEASURED", "Measured", "Needs", "growth_of", "needs"]


@dataclass(frozen=True)
class Measured:
    """Figures of docs/performance.md, of SmolLM2-135M and two shared CPU cores."""

    scan_tokens_per_s: float = 1_444
    """Read by the model on two cores (``s3-retriever-bench scan``)."""
    commit_tokens_per_s: float = 119_023
    """Put into one index, without the model, by one thread (``index``, ten million tokens)."""
    codes_bytes: float = 109.6
    """Of a token: codes, offsets and text (``index``)."""
    search_bytes: float = 22.9
    """Of a token: Tantivy (``index``)."""
    memory_bytes: float = 6.3
    """Of a token: resident memory of an open index, 63 MB at ten million (``index``)."""
    measured_tokens: float = 1e7
    """The size that these belong to."""
    p50_ms: float = 22.9
    """Of a search in mode ``fast`` at that size, the question encoded (``index``)."""
    p95_ms: float = 30.3
    tenth_p50_ms: float = 10.9
    """The median at a tenth of that size."""
    full_scan_s: float = 0.19
    """Processor time of mode ``features``, a million tokens (docs/performance.md)."""
    blocks: int = 48
    """That mode ``fast`` looks at in one index, of 64 tokens each."""


MEASURED = Measured()


@dataclass(frozen=True)
class Needs:
    """Of an index of some size in shards of some size."""

    shards: int
    scan_core_hours: float
    """To read all tokens once, on cores as measured."""
    commit_hours: float
    """To put them into all shards, one writer each, side by side."""
    disk_bytes: float
    memory_bytes: float
    p50_ms: float
    """Median of one shard, extrapolated."""
    p95_ms: float
    question_core_s: float
    """Processor time of a question in mode ``fast``, all shards together."""
    question_bytes: float
    """Codes that it reads, all shards together."""
    full_scan_core_s: float
    """Processor time of a question in mode ``features``."""


def growth_of(measured: Measured) -> float:
    """The power of its size with which a search takes longer, from the two sizes measured."""
    return log10(measured.p50_ms / measured.tenth_p50_ms)


def needs(
    tokens: float, shard_tokens: float, *, replicas: int = 2, measured: Measured = MEASURED
) -> Needs:
    """What an index needs.

    Args:
        tokens: of the whole.
        shard_tokens: of a shard.
        replicas: of each shard; disks and memory are for all of them.
        measured: what it is worked out from.

    Raises:
        InputError: a size that is none.
    """
    if min(tokens, shard_tokens, replicas) < 1:
        raise InputError("tokens, shard_tokens and replicas must be at least 1")
    shards = -int(-tokens // shard_tokens)
    grown = (min(tokens, shard_tokens) / measured.measured_tokens) ** growth_of(measured)
    return Needs(
        shards=shards,
        scan_core_hours=2 * tokens / measured.scan_tokens_per_s / 3600,
        commit_hours=min(tokens, shard_tokens) / measured.commit_tokens_per_s / 3600,
        disk_bytes=tokens * (measured.codes_bytes + measured.search_bytes) * replicas,
        memory_bytes=tokens * measured.memory_bytes * replicas,
        p50_ms=measured.p50_ms * grown,
        p95_ms=measured.p95_ms * grown,
        question_core_s=shards * measured.p50_ms * grown / 1000,
        question_bytes=shards * measured.blocks * 64 * measured.codes_bytes,
        full_scan_core_s=tokens / 1e6 * measured.full_scan_s,
    )
