"""Cutting a document's tokens into chunks, and chunks into padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["batches", "chunks_of"]


def chunks_of(n_tokens: int, chunk_tokens: int) -> Iterator[tuple[int, int]]:
    """Bounds of chunks that cover tokens 0 to ``n_tokens`` and are forwarded alone.

    Example:
        >>> list(chunks_of(10, chunk_tokens=6))
        [(0, 6), (6, 10)]
    """
    for start in range(0, n_tokens, chunk_tokens):
        yield start, min(start + chunk_tokens, n_tokens)


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Group items of similar length so that padding included no batch exceeds ``batch_tokens``.

    Example:
        >>> list(batches([5, 100, 6, 90], batch_tokens=200))
        [[1, 3], [2, 0]]
    """
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if group and lengths[group[0]] * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
