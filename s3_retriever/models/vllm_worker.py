"""What runs beside the weights of a vLLM engine: hooks that read what passes by.

vLLM lays the tokens of all requests of a step one behind the other. Here they are told apart by
what they are, token ids at positions, so nothing depends on how a release schedules them.
Hooks live from :func:`watch` to :func:`collect`. What both are given and give back may go to
another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Watch", "collect", "collect_log_likelihoods", "rows_of", "unhook", "watch"]

_HELD = "_s3_retriever_watch"


@dataclass
class Watch:
    """What passed by since :func:`watch`."""

    ids: list[Tensor] = field(default_factory=list)
    """``(n_tokens,)`` of each step."""
    positions: list[Tensor] = field(default_factory=list)
    """``(n_tokens,)`` of each step."""
    states: dict[int, list[Tensor]] = field(default_factory=dict)
    """By layer, of each step: what its projection gave, ``(n_tokens, (n_heads + 2 * n_kv_heads) *
    head_dim)``; under -1 the last hidden states, ``(n_tokens, hidden_size)``."""
    handles: list[Any] = field(default_factory=list)
    end_layer: int = 0
    """The decoder's own, which is put back."""


def watch(model: Any, layers: Sequence[int]) -> None:
    """Hook in.

    Args:
        model: a causal language model of vLLM.
        layers: those whose queries and keys are read; later layers are not computed until
            :func:`collect`. None of them: the last hidden states are read instead.
    """
    decoder = model.model
    held = Watch(end_layer=decoder.end_layer)

    def tokens(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(zip(("input_ids", "positions"), args, strict=False)) | kwargs
        held.ids.append(given["input_ids"].clone())
        held.positions.append(given["positions"].clone())

    # vLLM calls the decoder inside without the hooks that are on it
    held.handles.append(model.register_forward_pre_hook(tokens, with_kwargs=True))
    for layer in layers or [-1]:
        module = decoder.norm if layer < 0 else decoder.layers[layer].self_attn.qkv_proj
        held.states[layer] = []

        def states(
            module: Any,
            args: Any,
            output: tuple[Tensor, Any],
            into: list[Tensor] = held.states[layer],
        ) -> None:
            into.append(output[0].clone())  # a buffer that the next step may write into

        held.handles.append(module.register_forward_hook(states))
    if layers:
        decoder.end_layer = max(layers) + 1
    setattr(model, _HELD, held)


def unhook(model: Any) -> Watch:
    """End :func:`watch` and give what passed by."""
    held: Watch = getattr(model, _HELD)
    delattr(model, _HELD)
    for handle in held.handles:
        handle.remove()
    model.model.end_layer = held.end_layer
    return held


def collect(
    model: Any,
    texts: Sequence[np.ndarray],
    head_dim: int,
    n_heads: int,
    n_kv_heads: int,
    *,
    with_keys: bool,
) -> dict[int, list[Tensor]]:
    """Unhook, and give what was read of each text.

    Args:
        model: that was watched.
        texts: token ids ``(n_tokens,)`` of each.
        head_dim: of the model.
        n_heads: query heads.
        n_kv_heads: key heads.
        with_keys: keys; else queries.

    Returns:
        For each layer and text ``(n_tokens, heads, head_dim)`` on the CPU, before the rotary
        embedding; in families that have one, behind the norm of each head.

    Raises:
        RuntimeError: a text was not read, or not whole.
    """
    held = unhook(model)
    places = rows_of(held, texts)
    if any((rows < 0).any() for rows in places):
        raise RuntimeError("tokens of a text did not pass by")
    first, last = (n_heads, n_heads + n_kv_heads) if with_keys else (0, n_heads)
    found = {}
    for layer, steps in held.states.items():
        states = torch.cat(steps)[:, first * head_dim : last * head_dim].unflatten(
            -1, (-1, head_dim)
        )
        norm = getattr(
            model.model.layers[layer].self_attn, "k_norm" if with_keys else "q_norm", None
        )
        if norm is not None:
            states = norm(states.contiguous())
        found[layer] = [states[torch.from_numpy(rows)].cpu() for rows in places]
    return found


def collect_log_likelihoods(
    model: Any, texts: Sequence[np.ndarray], n_asked: int
) -> list[np.ndarray | None]:
    """Unhook, and give the log-probability of each text's last tokens.

    Args:
        model: that was watched.
        texts: token ids ``(n_tokens,)`` of each.
        n_asked: how many of them, the last, are judged.

    Returns:
        ``(n_asked,)`` float32 for each text, in nats; ``None`` where the engine took keys and
        values of these very tokens from its cache, so that they did not pass by.
    """
    held = unhook(model)
    states = torch.cat(held.states[-1])
    found: list[np.ndarray | None] = []
    for ids, rows in zip(texts, rows_of(held, texts), strict=True):
        before = rows[-n_asked - 1 : -1]
        if (before < 0).any():
            found.append(None)
            continue
        logits = model.compute_logits(states[torch.from_numpy(before)]).float()
        asked = torch.from_numpy(ids[-n_asked:].astype(np.int64)).to(logits.device)
        values = logits.log_softmax(-1).gather(-1, asked[:, None])[:, 0]
        found.append(values.cpu().numpy())
    return found


def rows_of(held: Watch, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where the tokens of each text passed by: ``(n_tokens,)`` int64 each, -1 for one that did not.

    Args:
        held: what passed by: in each step runs of consecutive positions, each of one text.
        texts: token ids ``(n_tokens,)`` of each; equal ones share rows.

    Example:
        >>> held = Watch([torch.tensor([7, 8, 9, 5])], [torch.tensor([0, 1, 0, 1])])
        >>> [rows.tolist() for rows in rows_of(held, [np.array([9, 5]), np.array([7, 8, 3])])]
        [[2, 3], [0, 1, -1]]
    """
    places = [np.full(len(ids), -1, dtype=np.int64) for ids in texts]
    offset = 0
    for step_ids, step_positions in zip(held.ids, held.positions, strict=True):
        ids, positions = step_ids.cpu().numpy(), step_positions.cpu().numpy()
        bounds = [0, *(np.flatnonzero(np.diff(positions) != 1) + 1).tolist(), len(ids)]
        for begin, end in pairwise(bounds):
            first = int(positions[begin])
            for text, rows in zip(texts, places, strict=True):
                wanted = text[first : first + end - begin]
                if len(wanted) == end - begin and (ids[begin:end] == wanted).all():
                    rows[first : first + end - begin] = np.arange(offset + begin, offset + end)
        offset += len(ids)
    return places
