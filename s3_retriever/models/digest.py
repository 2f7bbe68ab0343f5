"""A digest of a model's weights, cheap enough for every start."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from s3_retriever.models.hooks import decoder_layers

__all__ = ["weights_digest"]

_WHOLE = 1 << 16
"""Tensors of at most so many numbers count whole: norms, biases, small matrices."""
_STRIDE = 61
"""Of others one number in so many; a prime, so that it comes by every row and every column."""


def weights_digest(model: Any, last_layer: int) -> str:
    """SHA-256 that tells the weights of a model, up to a layer, from those of other fine-tunes.

    The embedding and the layers up to ``last_layer`` count, rounded to bfloat16, so that weights
    published in bfloat16 have the same digest whether they are loaded in that or in float32. (In
    float16 they differ where float16 cannot hold them.)

    Every 61st number of a large matrix is read: a sixtieth of the time of hashing all, which
    for a model of eight billion weights is longer than loading it. Training a matrix, by a
    low-rank adapter too, or a row or column of it changes most of what is read; an edit of single
    numbers by hand is seen with a chance of one in 61 each. The digest is against mistakes, not
    against somebody who wants two models to look alike.

    Args:
        model: a causal language model of :mod:`transformers`.
        last_layer: the last that decides a code, 0 for the first; later ones are left out.
    """
    digest = hashlib.sha256()
    embedding = model.get_decoder().get_input_embeddings()
    parts = [embedding, *decoder_layers(model)[: last_layer + 1]]
    for number, part in enumerate(parts):
        for name, tensor in part.named_parameters():
            flat = tensor.detach().flatten()
            read = flat if len(flat) <= _WHOLE else flat[::_STRIDE]
            digest.update(f"{number}.{name}:{len(flat)};".encode())
            digest.update(read.to(torch.bfloat16).cpu().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()
