"""Reading the queries and keys of chosen layers while the model runs, and stopping there.

Nothing after the last projection asked for is computed: no later layer, no logits, and no KV cache
is made. The hooks live only inside the ``with`` block, so the model is what it was afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from s3_retriever.models.families import AttentionLayout, keys, queries

__all__ = ["Projections", "decoder_layers", "read_projections"]


class Projections(NamedTuple):
    """What one forward pass left behind, by layer number."""

    keys: dict[int, Tensor]
    """``(batch, n_tokens, n_kv_heads, head_dim)`` each, in the model's dtype."""
    queries: dict[int, Tensor]
    """``(batch, n_tokens, n_heads, head_dim)`` each; empty unless asked for."""


class _LastLayerReached(Exception):  # noqa: N818  (control flow, not an error)
    """Leaves the forward pass from inside; never seen by a caller."""


def decoder_layers(model: nn.Module) -> Sequence[nn.Module]:
    """The decoder blocks of a causal language model, in order."""
    decoder: Any = model.get_decoder()  # type: ignore[operator]
    layers: Sequence[nn.Module] = decoder.layers
    return layers


def read_projections(
    model: nn.Module,
    layout: AttentionLayout,
    input_ids: Tensor,
    layers: Sequence[int],
    *,
    with_keys: bool = True,
    with_queries: bool = False,
) -> Projections:
    """Run ``model`` up to the last of ``layers`` and return what was asked for.

    Right padding needs no attention mask: the model is causal, so a pad token never changes the
    tokens before it. The caller drops the padded positions.

    Args:
        model: a causal language model of :mod:`transformers`.
        layout: its attention layout.
        input_ids: ``(batch, n_tokens)`` int64 on the model's device.
        layers: layer numbers, 0 for the first.
        with_keys: collect keys.
        with_queries: collect queries.
    """
    found = Projections({}, {})

    def collect(layer: int, attention: nn.Module, hidden: Tensor) -> None:
        if with_keys:
            found.keys[layer] = keys(attention, hidden, layout)
        if with_queries:
            found.queries[layer] = queries(attention, hidden, layout)

    decoder: Any = model.get_decoder()  # type: ignore[operator]
    with torch.inference_mode(), _hooks(model, layers, collect), suppress(_LastLayerReached):
        decoder(input_ids=input_ids, use_cache=False)
    return found


@contextmanager
def _hooks(
    model: nn.Module, layers: Sequence[int], collect: Callable[[int, nn.Module, Tensor], None]
) -> Iterator[None]:
    """Call ``collect`` as each chosen layer's attention is entered; leave at the last one."""
    last = max(layers)
    handles = []

    def make_hook(layer: int) -> Callable[..., None]:
        def hook(attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            collect(layer, attention, args[0] if args else kwargs["hidden_states"])
            if layer == last:
                raise _LastLayerReached

        return hook

    try:
        for layer in sorted(set(layers)):
            attention: Any = decoder_layers(model)[layer].self_attn
            handles.append(attention.register_forward_pre_hook(make_hook(layer), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
