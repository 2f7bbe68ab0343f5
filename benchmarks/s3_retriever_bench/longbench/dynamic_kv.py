"""DynamicKV as a press of kvpress: the prompt decides how much each layer keeps.

Source: Zhou et al. 2024, arXiv 2412.14838 (section 4, Algorithm 1), written from the paper. Every
layer scores the prompt's positions as SnapKV does and first keeps more than its share. After
every few layers the highest scores of all layers so far are counted, and each of these layers is
cut to what it holds of them.

In the paper's symbols: with a mean budget of ``t`` positions of which ``ws`` are the window, a
layer first keeps ``(t - ws) * r_max`` candidates a head; an update takes the top
``(t - ws) * H * l`` scores of ``l`` layers with ``H`` heads, and a layer's new budget is
proportional to how many of them are its own.

Where this deviates:

- A layer cannot get back what an earlier update took, nor keep more than it holds; what it cannot
  use goes to the other layers in proportion to theirs. So the mean is exactly the budget, where
  the paper's cut keeps less. The last update comes after the last layer, whatever its number.
- Window and pooling are kvpress's SnapKV's (64 positions, mean of 5 neighbours), so that the two
  methods differ only in how they divide the budget.
- Heads are key heads, as in the rest of the comparison.
- ``r_max`` of 10 and an update every 4 layers are recollections, not readings, of the paper: its
  text could not be had. The authors' program has 5 for ``r_max`` unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from kvpress import SnapKVPress
from kvpress.utils import compute_n_kept
from torch import Tensor
from transformers import DynamicCache

__all__ = ["DynamicKVPress", "layer_budgets", "share_out"]


@dataclass
class DynamicKVPress(SnapKVPress):  # type: ignore[misc]  # kvpress has no annotations mypy can see
    """Divides the budget over the layers by where the highest scores are.

    ``compression_ratio`` is the share of positions that is dropped, on average over the layers.
    """

    max_ratio: int = 10
    """How many times its mean share a layer first keeps (``r_max``)."""
    update_every: int = 4
    """Layers between two updates (``m``)."""
    _last: int = field(default=-1, init=False)
    _scores: dict[int, Tensor] = field(default_factory=dict, init=False)
    """``(n_kv_heads, n - window_size)`` of each layer so far."""

    def post_init_from_model(self, model: Any) -> None:
        """Find the last layer that is compressed, and forget an earlier prompt."""
        sliding = DynamicCache(config=model.config).is_sliding
        self._last = max((i for i, slides in enumerate(sliding) if not slides), default=-1)
        self._scores = {}

    def compress(
        self,
        module: Any,
        hidden_states: Tensor,
        keys: Tensor,
        values: Tensor,
        attentions: Tensor | None,
        kwargs: dict[str, Any],
    ) -> tuple[Tensor, Tensor]:
        """Keep candidates, best first, before the window; at an update cut all layers so far."""
        if self.compression_ratio == 0:
            return keys, values
        n, window = keys.shape[2], self.window_size
        mean = compute_n_kept(n, self.compression_ratio) - window
        scores = self.score(module, hidden_states, keys, values, attentions, kwargs)[0, :, :-window]
        candidates = scores.topk(min(mean * self.max_ratio, n - window)).indices
        tail = torch.arange(n - window, n, device=keys.device).expand(len(scores), -1)
        index = torch.cat([candidates, tail], dim=1)[None, :, :, None].expand(
            -1, -1, -1, keys.shape[3]
        )
        keys, values = keys.gather(2, index), values.gather(2, index)

        self._scores[module.layer_idx] = scores
        if len(self._scores) % self.update_every and module.layer_idx != self._last:
            return keys, values
        cache = kwargs["past_key_values"]
        held = [
            (keys if layer == module.layer_idx else cache.layers[layer].keys).shape[2] - window
            for layer in self._scores
        ]
        budgets = layer_budgets(list(self._scores.values()), mean, held)
        for layer, budget in zip(self._scores, budgets, strict=True):
            if layer != module.layer_idx:
                kept = cache.layers[layer]
                kept.keys, kept.values = self._cut(kept.keys, kept.values, budget)
        if module.layer_idx == self._last:
            self._scores = {}
        return self._cut(keys, values, budgets[-1])

    def _cut(self, keys: Tensor, values: Tensor, budget: int) -> tuple[Tensor, Tensor]:
        """The best ``budget`` candidates and the window."""
        first = keys.shape[2] - self.window_size
        return (
            torch.cat([keys[:, :, :budget], keys[:, :, first:]], dim=2),
            torch.cat([values[:, :, :budget], values[:, :, first:]], dim=2),
        )


def layer_budgets(scores: Sequence[Tensor], mean: int, held: Sequence[int]) -> list[int]:
    """Positions a head for each layer, so many on average, by the layers' part in the top scores.

    Args:
        scores: ``(n_heads, n_positions)`` of each layer.
        mean: positions a head, on average over layers.
        held: how many each layer has at most.

    Example:
        >>> early, late = torch.tensor([[0.9, 0.8, 0.7, 0.1]]), torch.tensor([[0.6, 0.2, 0.0, 0.0]])
        >>> layer_budgets([early, late], 2, [4, 4])
        [3, 1]
        >>> layer_budgets([early, late], 2, [2, 4])
        [2, 2]
    """
    flat = torch.cat([layer.flatten() for layer in scores])
    layer_size = scores[0].numel()
    top = flat.topk(mean * len(scores[0]) * len(scores)).indices
    counts = torch.bincount(top // layer_size, minlength=len(scores)).tolist()
    return share_out(mean * len(scores), counts, held)


def share_out(total: int, parts: Sequence[float], most: Sequence[int]) -> list[int]:
    """Divide a whole number in proportion to ``parts``, none above its own ``most``.

    What one cannot take goes to the others; what rounding leaves goes to the largest fractions.

    Args:
        total: at most the sum of ``most``.
        parts: not negative; where all that can take more are 0, they share alike.
        most: upper bounds.

    Example:
        >>> share_out(10, [1, 1, 2], [9, 9, 9])
        [3, 2, 5]
        >>> share_out(10, [1, 1, 2], [9, 9, 4])
        [3, 3, 4]
    """
    shares = [0.0] * len(parts)
    open_, left = list(range(len(parts))), float(total)
    while open_:
        weights = {i: parts[i] for i in open_}
        if not sum(weights.values()):
            weights = dict.fromkeys(open_, 1.0)
        unit = left / sum(weights.values())
        full = [i for i in open_ if weights[i] * unit >= most[i]]
        for i in full or open_:
            shares[i] = min(most[i], weights[i] * unit)
        left -= sum(shares[i] for i in full)
        open_ = [i for i in open_ if i not in full] if full else []
    whole = [math.floor(share) for share in shares]
    by_fraction = sorted(range(len(shares)), key=lambda i: whole[i] - shares[i])
    for i in by_fraction[: total - sum(whole)]:
        whole[i] += 1
    return whole
