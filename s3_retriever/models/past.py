"""Texts read before as a batch's past; imported where it is used, as transformers takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

__all__ = ["Past"]


class Past(DynamicCache):
    """Keys and values of texts, a row of a batch each, put together one layer at a time.

    A layer's copy of them is gone when the layer is done, so a large batch costs little memory.
    The new tokens' keys and values are not kept.

    Example:
        >>> one, other = torch.ones(3, 2, 1, 5, 4), torch.ones(3, 2, 1, 7, 4)
        >>> past = Past([one, other])
        >>> keys, values = past.update(torch.zeros(2, 1, 2, 4), torch.zeros(2, 1, 2, 4), 0)
        >>> keys.shape, keys[0, 0, :, 0].tolist()
        (torch.Size([2, 1, 9, 4]), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    """

    def __init__(self, texts: Sequence[Tensor]) -> None:
        """Take what was read.

        Args:
            texts: ``(n_layers, 2, n_kv_heads, n_tokens, head_dim)`` of each: keys, after the
                rotary embedding, and values.
        """
        super().__init__()
        self._texts = texts
        self.lengths = [text.shape[-2] for text in texts]

    @property
    def width(self) -> int:
        """Tokens of the longest text; behind the others are zeros, which the mask has to hide."""
        return max(self.lengths)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The tokens before the new ones."""
        return self.width

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *others: Any,
        **named: Any,
    ) -> tuple[Tensor, Tensor]:
        """Keys and values ``(n_texts, n_kv_heads, width + n_new, head_dim)`` of one layer.

        Args:
            key_states: ``(n_texts, n_kv_heads, n_new, head_dim)``.
            value_states: the same.
            layer_idx: the layer.
            others: what some releases of transformers give besides; not used.
            named: the same.
        """
        return self._behind(layer_idx, 0, key_states), self._behind(layer_idx, 1, value_states)

    def _behind(self, layer: int, kind: int, new: Tensor) -> Tensor:
        n_texts, n_heads, n_new, head_dim = new.shape
        states = torch.empty(
            (n_texts, n_heads, self.width + n_new, head_dim), dtype=new.dtype, device=new.device
        )
        for row, text, length in zip(states, self._texts, self.lengths, strict=True):
            row[:, :length] = text[layer, kind]
            row[:, length : self.width] = 0  # a weight of zero times what is no number is none
        states[:, :, self.width :] = new
        return states
