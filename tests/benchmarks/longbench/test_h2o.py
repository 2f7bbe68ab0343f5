"""Attention received, against the whole matrix and kvpress's own reading of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import TEXT, tiny_llm

pytest.importorskip("kvpress")

from kvpress import ObservedAttentionPress
from s3_retriever_bench.longbench import h2o
from s3_retriever_bench.longbench.h2o import H2OPress, attention_received

pytestmark = pytest.mark.usefixtures("one_thread")


def whole_matrix(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    group = len(queries) // len(keys)
    products = queries @ keys.repeat_interleave(group, 0).transpose(1, 2) * scaling
    n = keys.shape[1]
    masked = products.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
    return masked.softmax(-1).sum(1).unflatten(0, (-1, group)).mean(1)


@given(
    n=st.integers(1, 12),
    n_kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    rows=st.integers(1, 13),
    seed=st.integers(0, 99),
)
def test_blocks_of_any_size_are_the_whole_matrix(
    n: int, n_kv_heads: int, group: int, rows: int, seed: int
) -> None:
    torch.manual_seed(seed)
    queries, keys = torch.randn(n_kv_heads * group, n, 4), torch.randn(n_kv_heads, n, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(h2o._BLOCK_WEIGHTS, "cpu", rows * len(queries) * n)
        received = attention_received(queries, keys, 0.7)
    torch.testing.assert_close(received, whole_matrix(queries, keys, 0.7))
    torch.testing.assert_close(received.sum(1), torch.full((n_kv_heads,), float(n)))


@torch.inference_mode()
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "phi3"])
def test_the_same_attention_as_kvpress_observes(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mean over the queries that see a position, times their number, is the paper's sum."""
    llm = tiny_llm(family)
    llm.model.set_attn_implementation("eager")
    ids = torch.tensor([llm.tokenize(TEXT).ids.tolist()])
    n = ids.shape[1]
    monkeypatch.setitem(h2o._BLOCK_WEIGHTS, "cpu", 7 * llm.layout.n_heads * n)
    found = []

    def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        layer = kwargs["past_key_values"].layers[module.layer_idx]
        given_ = (module, kwargs["hidden_states"], layer.keys, layer.values, output[1], kwargs)
        found.append((H2OPress(0.9).score(*given_), ObservedAttentionPress(0.9).score(*given_)))

    handles = [
        layer.self_attn.register_forward_hook(hook, with_kwargs=True)
        for layer in llm.model.model.layers
    ]
    llm.model(ids, use_cache=True)
    for handle in handles:
        handle.remove()
    assert len(found) == 3
    for ours, observed in found:
        heavy = n - (max(1, int(n * (1 - 0.9))) + 1) // 2
        torch.testing.assert_close(
            ours[..., :heavy], (observed * torch.arange(n, 0, -1))[..., :heavy]
        )


@torch.inference_mode()
def test_half_is_heavy_and_half_is_recent() -> None:
    llm = tiny_llm()
    llm.model.set_attn_implementation("eager")
    ids = torch.tensor([llm.tokenize(TEXT).ids.tolist()])
    n = ids.shape[1]
    whole = llm.model(ids, use_cache=True, output_attentions=True)
    weights = whole.attentions[1][0].sum(1).unflatten(0, (2, 3)).mean(1)  # (n_kv_heads, n)
    with H2OPress(1 - 11.5 / n)(llm.model):
        cache = llm.model(ids, use_cache=True).past_key_values
    for head in range(2):
        heavy = weights[head, :-6].topk(5).indices.tolist()
        kept = [*heavy, *range(n - 6, n)]
        expected = whole.past_key_values.layers[1].keys[0, head, kept]
        found = cache.layers[1].keys[0, head]
        assert len(found) == 11
        torch.testing.assert_close(found[found[:, 0].argsort()], expected[expected[:, 0].argsort()])
