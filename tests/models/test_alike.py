"""Which texts are read in one pass on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.models.reading import alike


def work(groups: list[list[int]], lengths: list[int], pass_tokens: int) -> int:
    return sum(pass_tokens + len(g) * max(lengths[n] for n in g) for g in groups)


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    for found in partitions(items[1:]):
        yield [[items[0]], *found]
        for n, group in enumerate(found):
            yield [*found[:n], [items[0], *group], *found[n + 1 :]]


@given(st.lists(st.integers(1, 200), max_size=6), st.integers(0, 300))
def test_no_other_groups_take_less_work(lengths: list[int], pass_tokens: int) -> None:
    groups = alike(lengths, pass_tokens)
    assert sorted(n for group in groups for n in group) == list(range(len(lengths)))
    least = min(
        work(other, lengths, pass_tokens) for other in partitions(list(range(len(lengths))))
    )
    assert work(groups, lengths, pass_tokens) == least


@given(st.lists(st.integers(1, 50), max_size=300))
def test_many_texts_each_have_a_place(lengths: list[int]) -> None:
    groups = alike(lengths, 32)
    assert sorted(n for group in groups for n in group) == list(range(len(lengths)))
