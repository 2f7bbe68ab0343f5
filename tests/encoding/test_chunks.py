"""Chunks cover a document exactly; batches hold every chunk once and stay in bounds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.encoding.chunks import batches, chunks_of


@given(n=st.integers(0, 5000), size=st.integers(1, 600))
def test_chunks_cover_every_token_once(n: int, size: int) -> None:
    chunks = list(chunks_of(n, size))
    assert [at for start, end in chunks for at in range(start, end)] == list(range(n))
    assert all(end - start == size for start, end in chunks[:-1])


@given(lengths=st.lists(st.integers(1, 300), max_size=40), limit=st.integers(1, 1000))
def test_batches_hold_every_item_once_and_stay_in_bounds(lengths: list[int], limit: int) -> None:
    groups = list(batches(lengths, limit))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    padded = [max(lengths[i] for i in group) * len(group) for group in groups]
    assert all(size <= limit or len(group) == 1 for size, group in zip(padded, groups, strict=True))
    # no batch could have taken the next one's longest item as well
    for group, following in pairwise(groups):
        assert lengths[group[0]] * (len(group) + 1) > limit
        assert min(lengths[i] for i in group) >= max(lengths[i] for i in following)


def test_batches_by_hand() -> None:
    assert list(batches([], 10)) == []
    assert list(batches([50], 10)) == [[0]]
    assert list(batches([3, 9, 3, 4, 2], 9)) == [[1], [3, 0], [2, 4]]
