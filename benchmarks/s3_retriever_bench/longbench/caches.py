"""Answering from compressed caches: the peers that read the whole prompt and forget most of it.

They stand on the other side of the bargain from a retriever. A retriever chooses text before the
model reads; these let the model read everything, at the full price of prefill, and then keep few
keys and values for the tokens that are written.

- ``streaming-llm`` (arXiv 2309.17453): the first 4 positions and the last ones. Positions are not
  renumbered (kvpress's way; the paper does so while it streams beyond the window).
- ``snapkv`` (arXiv 2404.14469): what the last 64 positions attend to, pooled over 5 neighbours.
- ``pyramidkv`` (arXiv 2406.02069): SnapKV's scores; early layers keep more than late ones, the
  last one at least the window.
- ``h2o`` (arXiv 2306.14048): what the whole prompt attends to, and the most recent half
  (:mod:`~s3_retriever_bench.longbench.h2o`).
- ``dynamic`` (arXiv 2412.14838): SnapKV's scores; the prompt decides what each layer keeps
  (:mod:`~s3_retriever_bench.longbench.dynamic_kv`).

The first three are kvpress's, with its own settings but for a pyramid that fits the budget. All of
them choose for each key head on its own; query heads that share a key head are averaged.

One prefill serves all methods. They drop keys and values of a layer after its attention has run,
so nothing they do reaches the layers above: each compresses its own copy, and answers alone.

The prompt is compressed as one, the question with the context: the question lies inside the window
from which SnapKV, PyramidKV and DynamicKV look back. That is the published protocol, and it is the
methods' best case: a cache compressed so serves this one question only.

Layers with sliding-window attention (most of Gemma 3's) hold their window already and are not
compressed, as kvpress has it for Gemma 3.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from transformers import DynamicCache

from s3_retriever.errors import InputError
from s3_retriever.models.decoding import Prefilled
from s3_retriever.models.hooks import decoder_layers
from s3_retriever.models.transformers import TransformersModel
from s3_retriever_bench.device import peak_memory, synchronize
from s3_retriever_bench.longbench.writing import Written, check_fits, decode
from s3_retriever_bench.methods.method import MethodUnavailable

__all__ = ["CACHE_METHODS", "Compressed", "compress", "write_compressed"]

_WINDOW = 64
"""kvpress's observation window; a cache that keeps no more would hold nothing else."""


def _presses() -> Any:
    try:
        import kvpress
    except ImportError as e:
        raise MethodUnavailable("needs kvpress: pip install s3-retriever-bench") from e
    return kvpress


def _ratio(budget: int, n_tokens: int) -> float:
    """What share to drop so that ``budget`` positions stay; a press rounds what it keeps down."""
    return max(0.0, 1 - (budget + 1e-3) / n_tokens)


def _streaming_llm(budget: int, n_tokens: int) -> Any:
    return _presses().StreamingLLMPress(_ratio(budget, n_tokens))


def _snapkv(budget: int, n_tokens: int) -> Any:
    return _presses().SnapKVPress(_ratio(budget, n_tokens), window_size=_WINDOW)


def _pyramidkv(budget: int, n_tokens: int) -> Any:
    # the last layer's share is budget / beta; where that is less than the window, kvpress falls
    # back to SnapKV without a word, at its own beta of 20 for every budget below 1,280
    beta = max(1, min(20, budget // _WINDOW))
    return _presses().PyramidKVPress(_ratio(budget, n_tokens), window_size=_WINDOW, beta=beta)


def _h2o(budget: int, n_tokens: int) -> Any:
    _presses()
    from s3_retriever_bench.longbench.h2o import H2OPress

    return H2OPress(_ratio(budget, n_tokens))


def _dynamic(budget: int, n_tokens: int) -> Any:
    _presses()
    from s3_retriever_bench.longbench.dynamic_kv import DynamicKVPress

    return DynamicKVPress(_ratio(budget, n_tokens), window_size=_WINDOW)


CACHE_METHODS: dict[str, Callable[[int, int], Any]] = {
    "streaming-llm": _streaming_llm,
    "h2o": _h2o,
    "snapkv": _snapkv,
    "pyramidkv": _pyramidkv,
    "dynamic": _dynamic,
}
"""Makes the kvpress press of a method for a budget and a prompt's length, both in tokens."""


@dataclass(frozen=True)
class Compressed:
    """One method's cache of a prompt."""

    read: Prefilled
    """The logits are those of the whole prompt: nothing is dropped before the first token."""
    prefill_s: float
    """Seconds of the shared forward pass and of this method's own compressions."""

    @property
    def n_bytes(self) -> int:
        """Memory of its keys and values."""
        tensors = [t for layer in self.read.cache.layers for t in (layer.keys, layer.values)]
        return sum(t.numel() * t.element_size() for t in tensors)


@dataclass
class _Branch:
    """One method's own cache, filled layer by layer while the shared prefill runs."""

    press: Any
    cache: Any = field(default_factory=DynamicCache)
    seconds: float = 0.0


def compress(
    llm: TransformersModel, ids: Sequence[int], methods: Sequence[str], budget: int
) -> dict[str, Compressed]:
    """Read a prompt once and compress its keys and values by each method.

    ``budget`` is how many positions of the prompt stay, a key head and layer, on average:

    - ``streaming-llm``, ``h2o`` and ``snapkv`` keep exactly so many in every layer;
    - ``pyramidkv`` keeps more in early layers and fewer in late ones, so many on average over all
      layers (where a model's sliding layers are left alone, over those that are compressed only
      as far as they lie evenly);
    - ``dynamic`` keeps exactly so many on average over the compressed layers.

    A prompt of no more than ``budget`` tokens is kept whole.

    Args:
        llm: the resident model.
        ids: the prompt's token ids, the question's among the last.
        methods: names of :data:`CACHE_METHODS`.
        budget: positions to keep, more than the observation window of 64.

    Raises:
        InputError: no such method, or a budget of 64 or less.
        MethodUnavailable: kvpress is not installed.
    """
    if unknown := [name for name in methods if name not in CACHE_METHODS]:
        known = ", ".join(CACHE_METHODS)
        raise InputError(f"no such method: {', '.join(unknown)}; there are {known}")
    if budget <= _WINDOW:
        raise InputError(f"budget must exceed the observation window of {_WINDOW}, not {budget}")
    branches = {name: _Branch(CACHE_METHODS[name](budget, len(ids))) for name in methods}
    started = time.perf_counter()
    with _compressing(llm, branches.values(), whole=len(ids) <= budget):
        read = llm.prefill(ids)
    synchronize(llm.device)
    seconds = time.perf_counter() - started
    forward_s = seconds - sum(branch.seconds for branch in branches.values())
    return {
        name: Compressed(read._replace(cache=branch.cache), forward_s + branch.seconds)
        for name, branch in branches.items()
    }


def write_compressed(
    llm: TransformersModel,
    ids: Sequence[int],
    methods: Sequence[str],
    budget: int,
    max_new_tokens: int,
) -> Iterator[tuple[str, Written]]:
    """Read a prompt once, compress it by each method, and answer it from each cache greedily.

    What is written is kept beside the ``budget``; positions count on from the prompt's end.
    ``peak_bytes`` of a method is the shared peak less what the other methods' caches take; what
    another method needs for a moment (H2O's block of weights) is in it. To measure memory, run
    one method at a time.

    Args:
        llm: the resident model.
        ids: the prompt's token ids, the question's among the last.
        methods: names of :data:`CACHE_METHODS`.
        budget: positions to keep, as for :func:`compress`.
        max_new_tokens: most tokens to write.

    Yields:
        Each method's name with its answer, in the order asked for.

    Raises:
        InputError: as for :func:`compress`, or prompt and answer do not fit the window.
        MethodUnavailable: kvpress is not installed.

    Example:
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> text = "The lighthouse on Skerry Point was finished in 1887. " * 10 + "When?"
        >>> ids = llm.chat_ids([{"role": "user", "content": text}])
        >>> [name for name, written in write_compressed(llm, ids, ["snapkv"], 80, 4)]
        ['snapkv']
    """
    check_fits(llm, ids, max_new_tokens)
    with peak_memory(llm.device) as shared:
        caches = compress(llm, ids, methods, budget)
    n_bytes = {name: compressed.n_bytes for name, compressed in caches.items()}
    others = sum(n_bytes.values()) if len(ids) > budget else 0  # whole ones share their tensors
    for name in list(caches):
        compressed = caches.pop(name)
        with peak_memory(llm.device) as own:
            text, n_written, decode_s = decode(llm, compressed.read, max_new_tokens)
        prefill_peak = shared.bytes - max(0, others - n_bytes[name])
        peak = max(prefill_peak, n_bytes[name] + own.bytes)
        yield name, Written(text, n_written, compressed.prefill_s, decode_s, peak)
        del compressed


@contextmanager
def _compressing(
    llm: TransformersModel, branches: Collection[_Branch], *, whole: bool
) -> Iterator[None]:
    """While the model reads, give each branch its part of every layer's keys and values.

    The model's own cache is emptied behind it: it is not worth decoding from afterwards.
    """

    def after_attention(
        attention: nn.Module, args: Any, kwargs: dict[str, Any], output: tuple[Any, ...]
    ) -> None:
        layer = kwargs["past_key_values"].layers[attention.layer_idx]
        for branch in branches:
            kept = copy.copy(layer)
            branch.cache.layers.append(kept)
            if whole or layer.is_sliding:
                continue
            synchronize(llm.device)
            started = time.perf_counter()
            kept.keys, kept.values = branch.press.compress(
                attention,
                kwargs["hidden_states"],
                layer.keys,
                layer.values,
                None,
                {**kwargs, "past_key_values": branch.cache},
            )
            synchronize(llm.device)
            branch.seconds += time.perf_counter() - started
        layer.keys = layer.values = None

    handles = []
    with llm.lock:
        for branch in branches:
            branch.press.post_init_from_model(llm.model)
        try:
            for layer in decoder_layers(llm.model):
                attention: Any = layer.self_attn
                handles.append(attention.register_forward_hook(after_attention, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()
