"""Tokens that passed by an engine of vLLM are found again, however they were laid out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.models.vllm_worker import Watch, rows_of

_TEXTS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=9).map(lambda ids: np.array(ids, np.int32)),
    min_size=1,
    max_size=5,
)


@given(_TEXTS, st.permutations(range(5)))
def test_texts_of_one_step_are_found_whatever_their_order(
    texts: list[np.ndarray], order: list[int]
) -> None:
    turned = [texts[n] for n in order if n < len(texts)]
    ids = np.concatenate(turned)
    positions = np.concatenate([np.arange(len(text)) for text in turned])
    held = Watch([torch.from_numpy(ids)], [torch.from_numpy(positions)])
    for text, rows in zip(texts, rows_of(held, texts), strict=True):
        np.testing.assert_array_equal(ids[rows], text)
        np.testing.assert_array_equal(positions[rows], np.arange(len(text)))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.lists(st.integers(1, 29), max_size=4, unique=True),
)
def test_a_long_text_passes_by_in_several_steps(ids: list[int], cuts: list[int]) -> None:
    bounds = [0, *sorted(cut for cut in cuts if cut < len(ids)), len(ids)]
    pairs = list(pairwise(bounds))
    steps = [torch.tensor(ids[a:b], dtype=torch.int64) for a, b in pairs]
    held = Watch(steps, [torch.arange(a, b) for a, b in pairs])
    (rows,) = rows_of(held, [np.array(ids)])
    assert rows.tolist() == list(range(len(ids)))


def test_what_came_out_of_a_cache_did_not_pass_by() -> None:
    held = Watch([torch.tensor([5, 6, 9])], [torch.tensor([2, 3, 0])])
    first, second = rows_of(held, [np.array([3, 4, 5, 6]), np.array([9])])
    assert first.tolist() == [-1, -1, 0, 1]
    assert second.tolist() == [2]
