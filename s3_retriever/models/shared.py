"""One model in memory for all engines of a process that ask for the same."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import torch

from s3_retriever.forking import ForkLock
from s3_retriever.models.first_layers import FirstLayers
from s3_retriever.models.loading import best_device
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.models.weights import bound_model

__all__ = ["shared_model"]

_lock = ForkLock()
_models: weakref.WeakValueDictionary[tuple[Any, ...], TransformersModel | FirstLayers] = (
    weakref.WeakValueDictionary()
)
"""They go when the last engine that holds them does."""


def shared_model(
    model: str,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    n_layers: int | None = None,
) -> TransformersModel | FirstLayers:
    """The model that :meth:`TransformersModel.load` gives; one that is in memory is not read again.

    Args:
        model: a hub id, a folder or a ``.gguf`` file. Files that changed since are another model.
        revision: a hub revision.
        device: by default the first GPU, else the CPU.
        dtype: by default bfloat16 where the hardware computes with it, else float32.
        n_layers: so many of the first layers are enough; a whole model that is in memory is, too.

    Raises:
        ModelError: the weights cannot be found or read, or the device cannot be used.
    """
    model = bound_model(model)
    whole = (model, revision, str(device or best_device()), dtype, _state_of(Path(model)))
    key = whole if n_layers is None else (*whole, n_layers)
    where: dict[str, Any] = {"revision": revision, "device": device, "dtype": dtype}
    with _lock:  # two threads that ask at once load one
        llm = _models.get(whole) or _models.get(key)
        if llm is None:
            if n_layers is None:
                llm = TransformersModel.load(model, **where)
            else:
                llm = FirstLayers.load(model, n_layers, **where)
            _models[key] = llm
    return llm


def _state_of(path: Path) -> frozenset[tuple[str, int, int]]:
    """Names, sizes and times of a local model's files; nothing of a hub id."""
    files = [path] if path.is_file() else path.glob("*") if path.is_dir() else ()
    stats = [(file.name, file.stat()) for file in files]
    return frozenset((name, found.st_size, found.st_mtime_ns) for name, found in stats)
