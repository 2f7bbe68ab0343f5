"""The Top-K sparse autoencoder, in the file format of EleutherAI's sparsify.

Source: S3-Attention (arXiv 2601.17702), Eq. 2 and 3; the architecture is that of Gao et al.,
"Scaling and evaluating sparse autoencoders" (arXiv 2406.04093).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from s3_retriever.errors import ProfileError
from s3_retriever.quoting import brief, why

__all__ = ["Codes", "TopKSae", "fvu"]


class Codes(NamedTuple):
    """The active latents of each row, strongest first."""

    activations: Tensor
    """``(n, k)`` float32, >= 0."""
    ids: Tensor
    """``(n, k)`` int64, 0 <= id < n_latents."""


class TopKSae(nn.Module):
    """A dictionary of ``n_latents`` directions of which ``k`` describe a vector.

    ``x_hat = W_dec^T z + b_dec`` with ``z = TopK(ReLU(W_enc (x - b_dec) + b_enc), k)``.

    Example:
        >>> sae = TopKSae(d_in=8, n_latents=32, k=4)
        >>> codes = sae.encode(torch.randn(5, 8))
        >>> codes.ids.shape, sae.decode(codes).shape
        (torch.Size([5, 4]), torch.Size([5, 8]))
    """

    def __init__(self, d_in: int, n_latents: int, k: int) -> None:
        """Tied initialisation: decoder rows are the encoder's rows at unit norm."""
        super().__init__()
        if not 0 < k <= n_latents:
            raise ValueError(f"k must be between 1 and the {n_latents} latents, not {k}")
        self.d_in = d_in
        self.n_latents = n_latents
        self.k = k
        self.encoder = nn.Linear(d_in, n_latents)
        self.encoder.bias.data.zero_()
        self.W_dec = nn.Parameter(self.encoder.weight.data.clone())
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        self.normalize_decoder()

    def preactivations(self, x: Tensor) -> Tensor:
        """``ReLU(W_enc (x - b_dec) + b_enc)``: ``(n, d_in)`` to ``(n, n_latents)``."""
        return functional.relu(self.encoder(x - self.b_dec))

    def encode(self, x: Tensor) -> Codes:
        """The ``k`` strongest latents of each row of ``x`` ``(n, d_in)``."""
        return Codes(*self.preactivations(x).topk(self.k, dim=-1))

    def decode(self, codes: Codes) -> Tensor:
        """``(n, d_in)`` from codes; an embedding bag, so no ``(n, k, d_in)`` is ever made."""
        bag = functional.embedding_bag(
            codes.ids, self.W_dec, per_sample_weights=codes.activations, mode="sum"
        )
        return bag + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of ``x`` ``(n, d_in)``."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Bring every decoder row to unit norm."""
        norm = self.W_dec.norm(dim=1, keepdim=True)
        self.W_dec.div_(norm.clamp_min(torch.finfo(norm.dtype).eps))

    def save(self, folder: Path) -> None:
        """Write ``cfg.json`` and ``sae.safetensors`` (float16) as sparsify reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "activation": "topk",
            "expansion_factor": max(1, self.n_latents // self.d_in),
            "normalize_decoder": True,
            "num_latents": self.n_latents,
            "k": self.k,
            "multi_topk": False,
            "skip_connection": False,
            "transcode": False,
            "d_in": self.d_in,
        }
        (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tensors = {n: p.detach().half().contiguous().cpu() for n, p in self.state_dict().items()}
        # safetensors' own save_file lets nobody but the owner read it, whatever the umask says
        (folder / "sae.safetensors").write_bytes(save(tensors))

    @classmethod
    def load(cls, folder: Path) -> TopKSae:
        """Read an autoencoder written by :meth:`save` or by sparsify.

        Raises:
            ProfileError: a file is missing, damaged, or describes another kind of autoencoder.
        """
        try:
            config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
            if not isinstance(config, dict):
                raise ValueError("cfg.json holds no object")
            other = config.get("skip_connection") or config.get("transcode")
            if config.get("activation", "topk") != "topk" or other:
                raise ProfileError(f"{brief(folder)} holds no plain Top-K autoencoder: {config}")
            d_in = int(config["d_in"])
            n_latents = int(config.get("num_latents") or d_in * int(config["expansion_factor"]))
            k = int(config["k"])
            tensors = _tensors(folder / "sae.safetensors", d_in, n_latents)
            sae = cls(d_in, n_latents, k)  # as large as the file is
            sae.load_state_dict(tensors)
        except FileNotFoundError as e:
            raise ProfileError(f"autoencoder file missing: {brief(e.filename or e)}") from e
        except (
            SafetensorError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,  # RecursionError is one
            OverflowError,
            OSError,
        ) as e:
            raise ProfileError(
                f"autoencoder in {brief(folder)} is damaged or of another kind: {why(e)}"
            ) from e
        return sae.eval().requires_grad_(False)


def _tensors(path: Path, d_in: int, n_latents: int) -> dict[str, Tensor]:
    """The tensors of a file, float32, once its header has the sizes that the settings claim.

    Raises:
        ValueError: it has others, or numbers that are none.
    """
    shapes = {
        "encoder.weight": [n_latents, d_in],
        "encoder.bias": [n_latents],
        "W_dec": [n_latents, d_in],
        "b_dec": [d_in],
    }
    with safe_open(path, framework="pt") as file:  # checks the header against the file's size
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    if found != shapes:
        raise ValueError(f"sae.safetensors holds {found}, cfg.json says {shapes}")
    tensors = {name: t.float() for name, t in load_file(path).items()}
    if wrong := [name for name, t in tensors.items() if not bool(t.isfinite().all())]:
        raise ValueError(f"{', '.join(wrong)}: not all numbers are finite")
    return tensors


def fvu(x: Tensor, x_hat: Tensor) -> Tensor:
    """Fraction of variance unexplained: squared error over the variance of ``x`` ``(n, d)``.

    Example:
        >>> x = torch.tensor([[0.0], [2.0]])
        >>> fvu(x, x).item(), fvu(x, torch.ones_like(x)).item()
        (0.0, 1.0)
    """
    return (x - x_hat).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
