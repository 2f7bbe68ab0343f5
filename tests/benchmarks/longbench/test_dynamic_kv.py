"""How DynamicKV divides a budget, and that its layers hold what it says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import DynamicCache

from tests.tiny import TEXT, tiny_llm

pytest.importorskip("kvpress")

from kvpress import SnapKVPress
from s3_retriever_bench.longbench.dynamic_kv import DynamicKVPress, layer_budgets, share_out

pytestmark = pytest.mark.usefixtures("one_thread")


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=8), st.data()
)
def test_all_is_shared_out_and_nobody_gets_too_much(
    layers: list[tuple[int, int]], data: st.DataObject
) -> None:
    parts, most = zip(*layers, strict=True)
    total = data.draw(st.integers(0, sum(most)))
    shares = share_out(total, parts, most)
    assert sum(shares) == total
    assert all(0 <= share <= limit for share, limit in zip(shares, most, strict=True))
    for i, share in enumerate(shares):  # a larger part gets no less, but for its limit
        for j, other in enumerate(shares):
            if parts[i] > parts[j] and share < most[i]:
                assert share >= other


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_without_limits_shares_are_proportional(parts: list[int], times: int) -> None:
    total = times * sum(parts)
    assert share_out(total, parts, [total] * len(parts)) == [times * part for part in parts]


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 5))
def test_budgets_follow_the_top_scores(seed: int, n_heads: int, n_layers: int) -> None:
    torch.manual_seed(seed)
    scores = [torch.rand(n_heads, 12) * (1 + layer) for layer in range(n_layers)]
    mean = 3
    everything = torch.cat([s.flatten() for s in scores])
    bar = everything.sort(descending=True).values[mean * n_heads * n_layers - 1]
    counts = [int((s >= bar).sum()) for s in scores]
    assume(sum(counts) == mean * n_heads * n_layers)
    budgets = layer_budgets(scores, mean, [12] * n_layers)
    assert sum(budgets) == mean * n_layers
    for budget, count in zip(budgets, counts, strict=True):
        assert abs(budget - count / n_heads) < 1


@torch.inference_mode()
@pytest.mark.parametrize("n_layers", [1, 4, 6, 9])
def test_layers_hold_the_best_of_snapkv_and_the_budget_on_average(n_layers: int) -> None:
    llm = tiny_llm(num_hidden_layers=n_layers)
    ids = torch.tensor([(llm.tokenize(TEXT).ids.tolist() * 2)[:140]])
    n, window, budget = ids.shape[1], 8, 30
    ratio = 1 - (budget + 0.5) / n
    cache = DynamicCache()
    with DynamicKVPress(ratio, window_size=window)(llm.model):
        llm.model(ids, past_key_values=cache)
    lengths = [layer.keys.shape[2] for layer in cache.layers]
    assert sum(lengths) == budget * n_layers
    assert min(lengths) >= window
    if n_layers > 1:
        assert len(set(lengths)) > 1
    for layer, length in zip(cache.layers, lengths, strict=True):
        same = DynamicCache()
        with SnapKVPress(1 - (length + 0.5) / n, window_size=window)(llm.model):
            llm.model(ids, past_key_values=same)
        number = cache.layers.index(layer)
        for mine, theirs in [
            (layer.keys, same.layers[number].keys),
            (layer.values, same.layers[number].values),
        ]:
            assert sorted_rows(mine) == sorted_rows(theirs)


def sorted_rows(states: torch.Tensor) -> list[list[list[float]]]:
    return [sorted(head.tolist()) for head in states[0]]


@torch.inference_mode()
def test_a_press_serves_one_prompt_after_another() -> None:
    llm = tiny_llm(num_hidden_layers=6)
    tokens = llm.tokenize(TEXT).ids.tolist()
    press = DynamicKVPress(0.5, window_size=8)
    caches = []
    for text in (tokens, tokens[::-1], tokens):
        caches.append(DynamicCache())
        with press(llm.model):
            llm.model(torch.tensor([text]), past_key_values=caches[-1])
    for first, third in zip(caches[0].layers, caches[2].layers, strict=True):
        torch.testing.assert_close(first.keys, third.keys)
