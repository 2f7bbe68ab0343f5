"""H2O as a press of kvpress: heavy hitters of the whole prompt and its recent half.

Source: Zhang et al. 2023, arXiv 2306.14048 (section 4, Algorithm 1). A position's score is the
attention it receives, summed over all queries; half of the budget goes to the highest sums, half to
the last positions. kvpress's ``ObservedAttentionPress`` divides each sum by the number of queries
that can see the position, and keeps no recent half; the paper does neither, so this press differs.

It also needs the weights of all queries over all keys at once. Here they are computed again from
the layer's queries and keys, a block of queries at a time, so that nothing of the prompt's length
squared is held, and any attention implementation will do.

Where this deviates from the paper: nothing is evicted while the answer is written (as for every
method here), and query heads that share a key head share a score, their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from kvpress import ScorerPress
from kvpress.utils import compute_n_kept, get_prerope_query_states
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import rotate_half

__all__ = ["H2OPress", "attention_received"]

_BLOCK_WEIGHTS = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Attention weights held at once: 16 MB in float32, near the caches of a CPU, or 256 MB."""


@dataclass
class H2OPress(ScorerPress):  # type: ignore[misc]  # kvpress has no annotations mypy can see
    """Keeps heavy hitters and recent positions, half and half; the odd one is recent.

    ``compression_ratio`` is the share of positions that is dropped.
    """

    def score(
        self,
        module: Any,
        hidden_states: Tensor,
        keys: Tensor,
        values: Tensor,
        attentions: Tensor | None,
        kwargs: dict[str, Any],
    ) -> Tensor:
        """Attention received, with the recent half above all others: ``(1, n_kv_heads, n)``."""
        cos, sin = kwargs["position_embeddings"]
        queries = get_prerope_query_states(module, hidden_states)
        queries = queries * cos[:, None] + rotate_half(queries) * sin[:, None]
        received = attention_received(queries[0], keys[0], module.scaling)
        n_kept = compute_n_kept(keys.shape[2], self.compression_ratio)
        n_recent = n_kept - n_kept // 2
        highest = float(received.max()) + 1
        return functional.pad(received[:, :-n_recent], (0, n_recent), value=highest)[None]


def attention_received(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    """Causal attention weights summed over queries, averaged over the heads of a group.

    Args:
        queries: ``(n_heads, n, head_dim)``, rotated.
        keys: ``(n_kv_heads, n, head_dim)``, rotated.
        scaling: what products are multiplied by before the softmax.

    Returns:
        ``(n_kv_heads, n)`` float32.

    Example:
        >>> alike = torch.zeros(1, 3, 2)  # 1, then halves, then thirds
        >>> attention_received(alike, alike, 1.0)
        tensor([[1.8333, 0.8333, 0.3333]])
    """
    n_kv_heads, n, _ = keys.shape
    grouped = queries.unflatten(0, (n_kv_heads, -1))
    rows = max(1, _BLOCK_WEIGHTS[keys.device.type] // (len(queries) * n))
    received = torch.zeros(n_kv_heads, n, device=keys.device)
    for start in range(0, n, rows):
        end = min(start + rows, n)
        block = grouped[:, :, start:end].flatten(1, 2)
        products = (block @ keys[:, :end].transpose(1, 2)) * scaling
        products = products.unflatten(1, (-1, end - start))  # (n_kv_heads, group, rows, end)
        later = torch.ones(end - start, end - start, dtype=torch.bool, device=keys.device).triu(1)
        products[..., start:].masked_fill_(later, -torch.inf)
        weights = products.softmax(-1, dtype=torch.float32)
        received[:, :end] += weights.sum((1, 2))
    return received * (n_kv_heads / len(queries))
