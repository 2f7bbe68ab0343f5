"""Documents into rounds that are read together, their tokens into chunks, chunks into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from s3_retriever.types import Document

__all__ = ["batches", "chunks_of", "rounds"]

_BATCHES = 8
"""Batches of a round: that many are sorted by length together, so that little is padded."""
_CHARACTERS = 4
"""A token's, about. A round is measured without a tokenizer, so that who sends rounds to other
machines needs none; where tokens are shorter, it only has more batches."""


def rounds(documents: Iterable[Document], batch_tokens: int) -> Iterator[list[Document]]:
    """Documents in their order, as many at a time as make some eight batches.

    What is read together decides how keys are rounded: equal rounds give equal codes, wherever
    they are read.

    Args:
        documents: taken lazily, one round at a time.
        batch_tokens: of :class:`~s3_retriever.settings.ScanSettings`.

    Example:
        >>> documents = [Document(name, 300 * "x") for name in "abc"]
        >>> [[d.id for d in together] for together in rounds(documents, batch_tokens=16)]
        [['a', 'b'], ['c']]
    """
    together: list[Document] = []
    characters = 0
    for document in documents:
        together.append(document)
        characters += len(document.text)
        if characters >= _BATCHES * _CHARACTERS * batch_tokens:
            yield together
            together, characters = [], 0
    if together:
        yield together


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
