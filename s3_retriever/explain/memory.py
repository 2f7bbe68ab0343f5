"""What is in memory: weights, and what a model keeps, counted once whoever shares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from s3_retriever.models.prefix_cache import PrefixCache

__all__ = ["engine_parts", "memory_report"]


def engine_parts(llm: Any, profile: Any) -> dict[str, Any]:
    """What an engine holds, by name, for :func:`memory_report`.

    Args:
        llm: its language model; one without a cache of passages has none to count.
        profile: its profile.
    """
    return {
        "likelihood_cache": getattr(llm, "likelihood_cache", None),
        "language_model": llm,  # holds that cache too, which is counted by then
        "autoencoders": list(profile.saes),
    }


def memory_report(holders: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of tensors that each holder adds to those before it, and their sum.

    Args:
        holders: by name: modules, or objects that hold one as ``model``, ``llm``,
            ``engine`` or ``pipeline`` (an :class:`~s3_retriever.Engine`, a chat model, a
            pipeline of transformers), or several of these in a list.

    Returns:
        Bytes by name, and ``total``.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(10, 10, bias=False)
        >>> memory_report({"first": layer, "the same again": [layer]})
        {'first': 400, 'the same again': 0, 'total': 400}
    """
    seen: set[int] = set()
    report: dict[str, int] = {}
    for name, holder in holders.items():
        report[name] = 0
        for tensor in _tensors(holder):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                report[name] += storage.nbytes()
    report["total"] = sum(report.values())
    return report


_HOLDING = ("model", "likelihood_cache", "llm", "engine", "pipeline", "profile", "saes")


def _tensors(holder: Any) -> Iterator[Tensor]:
    if isinstance(holder, nn.Module):
        yield from holder.parameters()
        yield from holder.buffers()
    elif isinstance(holder, PrefixCache):
        yield from holder.tensors()
    elif isinstance(holder, (list, tuple)):
        for item in holder:
            yield from _tensors(item)
    else:
        for attribute in _HOLDING:
            inner = getattr(holder, attribute, None)
            if inner is not None and not isinstance(inner, str):
                yield from _tensors(inner)
