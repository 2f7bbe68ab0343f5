"""Attention of a few rows only: what a question looks at in its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s3_retriever.models.families import keys, queries
from s3_retriever.models.hooks import decoder_layers
from s3_retriever.models.transformers import TransformersModel

__all__ = ["attention_weights"]


def attention_weights(
    llm: TransformersModel, ids: Sequence[int], rows: Sequence[int], layers: Sequence[int]
) -> dict[int, np.ndarray]:
    """Attention weights of some layers for some rows of a prompt.

    What eager attention would give under ``output_attentions``, without the weights of the other
    rows and layers and without changing how the resident model computes.

    Args:
        llm: the model.
        ids: a prompt that fits its window.
        rows: positions in the prompt whose attention is wanted.
        layers: layer numbers.

    Returns:
        ``(n_heads, len(rows), len(ids))`` float32 by layer; each row of a head adds up to 1.
    """
    found: dict[int, np.ndarray] = {}
    layout = llm.layout

    def collect(
        layer: int, attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        cosines, sines = kwargs["position_embeddings"]
        at = torch.tensor(list(rows), device=hidden.device)
        key = _rotated(keys(attention, hidden, layout), cosines, sines)[0]
        query = _rotated(queries(attention, hidden, layout), cosines, sines)[0, at]
        query = query.unflatten(1, (layout.n_kv_heads, layout.group))
        logits = torch.einsum("rhgd,nhd->hgrn", query, key).float() * layout.scaling
        logits = _masked(logits, kwargs.get("attention_mask"), at)
        found[layer] = logits.softmax(-1).flatten(0, 1).cpu().numpy()

    with llm.lock, torch.inference_mode(), ExitStack() as hooks:
        for layer in layers:
            module: Any = decoder_layers(llm.model)[layer].self_attn
            hook = partial(collect, layer)
            hooks.enter_context(module.register_forward_pre_hook(hook, with_kwargs=True))
        input_ids = torch.tensor([list(ids)], device=llm.device)
        llm.model.get_decoder()(input_ids=input_ids, use_cache=False)
    return found


def _rotated(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The rotary embedding; what lies beyond its width (Phi-3) passes as it is.

    Args:
        states: ``(1, n, heads, head_dim)``.
        cosines: ``(1, n, width)``.
        sines: the same.
    """
    width = cosines.shape[-1]
    turned, rest = states[..., :width], states[..., width:]
    first, second = turned.chunk(2, dim=-1)
    quarter = torch.cat([-second, first], dim=-1)
    turned = turned * cosines.unsqueeze(2) + quarter * sines.unsqueeze(2)
    return torch.cat([turned, rest], dim=-1)


def _masked(logits: Tensor, mask: Tensor | None, rows: Tensor) -> Tensor:
    """Hide what the layer hides: by its mask, or what is to come where it needs none."""
    if mask is None:
        columns = torch.arange(logits.shape[-1], device=logits.device)
        return logits.masked_fill(columns > rows[:, None], -torch.inf)
    own = mask[0, 0, rows]
    if own.dtype == torch.bool:
        return logits.masked_fill(~own, -torch.inf)
    return logits + own
