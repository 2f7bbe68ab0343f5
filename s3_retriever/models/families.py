"""Where each model family keeps the queries and keys of its attention.

"Query" and "key" mean the vectors that enter the attention product *before* the rotary
embedding: position-free, so that a text says the same wherever it stands. Families that
normalise them (Qwen3, Gemma 3) are read after that norm, because the norm is part of the product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from s3_retriever.errors import ModelError
from s3_retriever.quoting import quoted

__all__ = ["SUPPORTED", "AttentionLayout", "keys", "layout_of", "queries"]

SUPPORTED: dict[str, str] = {
    "llama": "Llama 3.x, SmolLM2",
    "mistral": "Mistral",
    "qwen2": "Qwen2, Qwen2.5",
    "qwen3": "Qwen3",
    "gemma3_text": "Gemma 3 (text)",
    "phi3": "Phi-3",
}
"""Supported ``config.model_type`` values and what people call them."""


@dataclass(frozen=True)
class AttentionLayout:
    """The shape of a model's attention: query head ``h`` reads key head ``h // group``."""

    family: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    scaling: float
    """What the product of a query and a key is multiplied by before the softmax."""

    @property
    def group(self) -> int:
        """Query heads that share one key head (grouped-query attention)."""
        return self.n_heads // self.n_kv_heads


def layout_of(config: Any) -> AttentionLayout:
    """Read the layout from a ``transformers`` configuration.

    Raises:
        ModelError: the family is not one of :data:`SUPPORTED`.
    """
    family = config.model_type
    if family not in SUPPORTED:
        known = ", ".join(f"{k} ({v})" for k, v in SUPPORTED.items())
        raise ModelError(
            f"model family {quoted(family)} is not supported; supported are: {known}. "
            "Where a family keeps its queries and keys is one entry in models/families.py."
        )
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    pre_scale = getattr(config, "query_pre_attn_scalar", None)  # Gemma's own scale
    return AttentionLayout(
        family=family,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads or config.num_attention_heads,
        head_dim=head_dim,
        scaling=float(pre_scale or head_dim) ** -0.5,
    )


def keys(attention: Any, hidden: Tensor, layout: AttentionLayout) -> Tensor:
    """Keys of one layer, before the rotary embedding.

    Args:
        attention: the layer's self-attention module.
        hidden: ``(batch, n_tokens, hidden_size)``, what enters that module.
        layout: the model's layout.

    Returns:
        ``(batch, n_tokens, n_kv_heads, head_dim)``
    """
    if layout.family == "phi3":  # one matrix: all queries, then all keys, then all values
        first = layout.n_heads * layout.head_dim
        states = attention.qkv_proj(hidden)
        states = states[..., first : first + layout.n_kv_heads * layout.head_dim]
    else:
        states = attention.k_proj(hidden)
    return _by_head(states, layout.head_dim, getattr(attention, "k_norm", None))


def queries(attention: Any, hidden: Tensor, layout: AttentionLayout) -> Tensor:
    """Queries of one layer, before the rotary embedding.

    Args:
        attention: the layer's self-attention module.
        hidden: ``(batch, n_tokens, hidden_size)``, what enters that module.
        layout: the model's layout.

    Returns:
        ``(batch, n_tokens, n_heads, head_dim)``
    """
    if layout.family == "phi3":
        states = attention.qkv_proj(hidden)[..., : layout.n_heads * layout.head_dim]
    else:
        states = attention.q_proj(hidden)
    return _by_head(states, layout.head_dim, getattr(attention, "q_norm", None))


def _by_head(states: Tensor, head_dim: int, norm: nn.Module | None) -> Tensor:
    by_head: Tensor = states.unflatten(-1, (-1, head_dim))
    if norm is None:
        return by_head
    normed: Tensor = norm(by_head)
    return normed
