"""Queries and keys of every family against their definition, written out with plain matmuls."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from s3_retriever.errors import ModelError
from s3_retriever.models.families import SUPPORTED, layout_of
from s3_retriever.models.hooks import read_projections
from tests.tiny import VOCABULARY, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.randint(0, VOCABULARY, (1, 13), generator=torch.Generator().manual_seed(0))


def rms(x: Tensor, weight: Tensor, eps: float, *, plus_one: bool) -> Tensor:
    """Root-mean-square norm; Gemma stores its weight less one."""
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * (weight + plus_one)


def project_by_hand(model: Any, layer: int, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys ``(heads, n_tokens, head_dim)`` of ``ids`` from the hidden states."""
    config = model.config
    gemma = config.model_type == "gemma3_text"
    hidden = model(ids, output_hidden_states=True).hidden_states[layer][0]
    block = model.model.layers[layer]
    entering = rms(hidden, block.input_layernorm.weight, config.rms_norm_eps, plus_one=gemma)
    attention = block.self_attn
    dim = attention.head_dim
    n_heads, n_kv_heads = config.num_attention_heads, config.num_key_value_heads
    found = []
    for name, first, heads in (("q", 0, n_heads), ("k", n_heads, n_kv_heads)):
        if config.model_type == "phi3":
            weight = attention.qkv_proj.weight[first * dim : (first + heads) * dim]
            states = entering @ weight.T
        else:
            projection = getattr(attention, f"{name}_proj")
            states = entering @ projection.weight.T
            if projection.bias is not None:
                states = states + projection.bias
        by_head = states.view(-1, heads, dim)
        if config.model_type in ("qwen3", "gemma3_text"):
            norm = getattr(attention, f"{name}_norm").weight
            by_head = rms(by_head, norm, config.rms_norm_eps, plus_one=gemma)
        found.append(by_head.transpose(0, 1))
    return found[0], found[1]


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("family", SUPPORTED)
@torch.no_grad()
def test_hooks_read_the_projections(family: str, layer: int) -> None:
    model = tiny_model(family)
    layout = layout_of(model.config)
    found = read_projections(model, layout, IDS, [layer], with_queries=True)
    queries, keys = project_by_hand(model, layer, IDS)
    assert found.queries[layer].shape == (1, 13, layout.n_heads, layout.head_dim)
    assert found.keys[layer].shape == (1, 13, layout.n_kv_heads, layout.head_dim)
    torch.testing.assert_close(found.queries[layer][0].transpose(0, 1), queries)
    torch.testing.assert_close(found.keys[layer][0].transpose(0, 1), keys)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("family", SUPPORTED)
@torch.no_grad()
def test_the_layout_gives_the_models_own_attention(family: str, layer: int) -> None:
    model = tiny_model(family, attn_implementation="eager")
    layout = layout_of(model.config)
    found = read_projections(model, layout, IDS, [layer], with_queries=True)
    queries = found.queries[layer].transpose(1, 2)
    keys = found.keys[layer].transpose(1, 2)

    module = importlib.import_module(type(model).__module__)
    positions = torch.arange(13)[None]
    layer_types = getattr(model.config, "layer_types", None)
    by_type = [layer_types[layer]] if family == "gemma3_text" else []
    cos, sin = model.model.rotary_emb(queries, positions, *by_type)
    queries, keys = module.apply_rotary_pos_emb(queries, keys, cos, sin)

    read_by = [head // layout.group for head in range(layout.n_heads)]
    logits = queries[0] @ keys[0, read_by].mT * layout.scaling
    distance = positions.T - positions
    sliding = family == "mistral" or by_type == ["sliding_attention"]
    hidden = (distance < 0) | (distance >= 8 if sliding else torch.zeros(13, 13, dtype=bool))
    expected = logits.masked_fill(hidden, -torch.inf).softmax(-1)

    attention = model(IDS, output_attentions=True).attentions[layer][0]
    assert attention.std() > 0.05  # far from uniform, so a wrong scale would show
    torch.testing.assert_close(attention, expected, atol=1e-5, rtol=1e-4)


def test_layout_of_each_family() -> None:
    by_family = {f: layout_of(tiny_model(f).config) for f in SUPPORTED}
    for family, layout in by_family.items():
        assert (layout.family, layout.n_layers) == (family, 3)
        assert (layout.n_heads, layout.n_kv_heads, layout.group) == (6, 2, 3)
    assert by_family["phi3"].head_dim == 8  # 48 / 6
    assert by_family["qwen3"].head_dim == 10
    assert by_family["qwen3"].scaling == pytest.approx(0.3162278)
    assert by_family["gemma3_text"].scaling == pytest.approx(0.3779645)  # 1 / sqrt(7)


def test_unknown_family_is_named() -> None:
    with pytest.raises(ModelError, match=r"'mamba'.*llama \(Llama 3\.x, SmolLM2\)"):
        layout_of(SimpleNamespace(model_type="mamba"))
