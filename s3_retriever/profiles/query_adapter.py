"""A query adapter: small low-rank maps on the question's side, trained for retrieval.

The product of a mapped query with a key is that of the query with a mapped key, so a linear map on
the key's side could add nothing, and stored codes stay as they are.

Source: the low-rank form is that of LoRA (arXiv 2106.09685).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from s3_retriever.errors import ProfileError
from s3_retriever.quoting import brief, why

__all__ = ["ADAPTER_FILE", "QueryAdapter"]

ADAPTER_FILE = "query_adapter.safetensors"
"""Name in a profile's folder."""


@dataclass(frozen=True)
class QueryAdapter:
    """``q + q @ down @ up + bias`` for each head of a profile, in the profile's order.

    Example:
        >>> adapter = QueryAdapter.identity(n_heads=2, head_dim=4, rank=1)
        >>> queries = torch.ones(3, 2, 4)
        >>> bool((adapter(queries, [0, 1]) == queries).all())
        True
    """

    down: Tensor
    """``(n_heads, head_dim, rank)`` float32."""
    up: Tensor
    """``(n_heads, rank, head_dim)`` float32."""
    bias: Tensor
    """``(n_heads, head_dim)`` float32."""

    @classmethod
    def identity(cls, *, n_heads: int, head_dim: int, rank: int, seed: int = 0) -> QueryAdapter:
        """One that changes nothing yet: ``down`` is random, ``up`` and ``bias`` are 0."""
        generator = torch.Generator().manual_seed(seed)
        down = torch.randn(n_heads, head_dim, rank, generator=generator) / head_dim**0.5
        return cls(down, torch.zeros(n_heads, rank, head_dim), torch.zeros(n_heads, head_dim))

    @classmethod
    def load(cls, path: Path) -> QueryAdapter:
        """Read a file written by :meth:`save`.

        Raises:
            ProfileError: it cannot be read, or holds tensors of other names, shapes or types.
        """
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as e:
            raise ProfileError(f"{brief(path)} cannot be read: {why(e)}") from e
        try:
            adapter = cls(**found)
            n_heads, head_dim, rank = adapter.down.shape
        except (TypeError, ValueError) as e:
            raise ProfileError(
                f"{brief(path)} is no query adapter: it holds {sorted(found)}"
            ) from e
        shapes = {"up": (n_heads, rank, head_dim), "bias": (n_heads, head_dim)}
        wrong = [name for name, shape in shapes.items() if found[name].shape != shape]
        if wrong or any(tensor.dtype != torch.float32 for tensor in found.values()):
            raise ProfileError(
                f"{brief(path)} is no query adapter: its tensors do not fit together"
            )
        if not all(bool(tensor.isfinite().all()) for tensor in found.values()):
            raise ProfileError(f"{brief(path)} is no query adapter: not all its numbers are finite")
        return adapter

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        path.write_bytes(save({n: t.contiguous() for n, t in vars(self).items()}))

    @property
    def shape(self) -> tuple[int, int]:
        """Heads and head dimension."""
        return self.bias.shape[0], self.bias.shape[1]

    def __call__(self, queries: Tensor, heads: Sequence[int]) -> Tensor:
        """Map queries.

        Args:
            queries: ``(n_tokens, len(heads), head_dim)``.
            heads: each one's number in the profile's order.

        Returns:
            The same shape.
        """
        chosen = list(heads)
        down, up, bias = (t[chosen].to(queries.device) for t in (self.down, self.up, self.bias))
        return queries + torch.einsum("thd,hdr,hre->the", queries, down, up) + bias
