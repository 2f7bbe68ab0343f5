"""Training a Top-K autoencoder on stored key projections.

Deterministic and resumable: the rows of step ``t`` depend on the seed and on ``t`` alone, and a
checkpoint holds everything else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from s3_retriever.errors import InputError
from s3_retriever.profiles.autoencoder import Codes, TopKSae, fvu
from s3_retriever.quoting import brief
from s3_retriever.settings import SaeSettings

__all__ = ["SaeQuality", "measure", "time_step", "train"]

logger = logging.getLogger(__name__)

AUXK_COEFFICIENT = 1 / 32
"""Weight of the loss that revives dead latents (Gao et al., section 2.4)."""


@dataclass(frozen=True)
class SaeQuality:
    """How well an autoencoder does on text it was not trained on."""

    fvu: float
    """Fraction of variance unexplained."""
    dead_fraction: float
    """Share of latents that no held-out token activates."""
    activation_scale: float
    """The 99.99th percentile of activations over 255: the step of the uint8 activations."""


def train(
    rows: np.ndarray,
    settings: SaeSettings,
    checkpoint: Path,
    *,
    device: torch.device,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> TopKSae:
    """Train on ``rows`` ``(n, d_in)`` (any float dtype, may be memory-mapped).

    Args:
        rows: key projections, one row a token.
        settings: sizes, steps, learning rate, seed.
        checkpoint: a safetensors file, written every ``settings.checkpoint_steps`` steps; if it
            is there and was made with the same settings and rows, training goes on from it.
        device: where to train.
        on_step: called after each step with the steps done and the FVU of the batch.

    Raises:
        InputError: fewer rows than one batch.
    """
    n, d_in = rows.shape
    if n < settings.batch_tokens:
        raise InputError(
            f"the corpus has {n} tokens, fewer than one batch of {settings.batch_tokens}; "
            "give more text or a smaller --batch-tokens"
        )
    torch.manual_seed(settings.seed)
    sae = TopKSae(d_in, settings.latents_for(d_in), settings.k).to(device)
    sample = torch.from_numpy(np.asarray(rows[: 16 * settings.batch_tokens], dtype=np.float32))
    sae.b_dec.data = sample.mean(0).to(device)
    learning_rate = settings.learning_rate or 2e-4 / (sae.n_latents / 2**14) ** 0.5
    optimizer = torch.optim.Adam(sae.parameters(), lr=learning_rate)
    idle = torch.zeros(sae.n_latents, device=device)  # tokens since each latent last fired
    of_rows = hashlib.sha256(rows[:: max(1, n // 1024)].tobytes()).hexdigest()
    identity = json.dumps({**settings.model_dump(), "rows": [n, d_in, of_rows]}, sort_keys=True)
    start = _resume(checkpoint, identity, sae, optimizer, idle)

    for step in range(start, settings.steps):
        _set_learning_rate(optimizer, learning_rate, step, settings.steps)
        picked = np.random.default_rng((settings.seed, step)).integers(0, n, settings.batch_tokens)
        x = torch.from_numpy(np.asarray(rows[np.sort(picked)], dtype=np.float32)).to(device)
        loss = _step(sae, optimizer, x, idle, settings.dead_tokens)
        on_step(step + 1, loss)
        if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == settings.steps:
            _save(checkpoint, identity, step + 1, sae, optimizer, idle)
    return sae.eval().requires_grad_(False)


def time_step(d_in: int, n_latents: int, k: int, batch_tokens: int, device: torch.device) -> float:
    """Seconds that a step of training takes, on random rows: the median of three."""
    sae = TopKSae(d_in, n_latents, k).to(device)
    optimizer = torch.optim.Adam(sae.parameters())
    idle = torch.zeros(n_latents, device=device)
    x = torch.randn(batch_tokens, d_in, device=device)
    taken = []
    for _ in range(4):  # the first one makes room
        start = time.perf_counter()
        _step(sae, optimizer, x, idle, dead_tokens=1 << 60)
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])[1]


def _step(
    sae: TopKSae, optimizer: torch.optim.Optimizer, x: Tensor, idle: Tensor, dead_tokens: int
) -> float:
    """One update; returns the FVU of the batch."""
    preactivations = sae.preactivations(x)
    codes = Codes(*preactivations.topk(sae.k, dim=-1))
    x_hat = sae.decode(codes)
    reconstruction = fvu(x, x_hat)
    loss = reconstruction
    dead = idle > dead_tokens
    n_dead = int(dead.sum())
    if n_dead:  # dead latents learn to explain what the living ones leave over
        k_aux = x.shape[1] // 2
        share = min(n_dead / k_aux, 1.0)  # few dead latents weigh less
        k_aux = min(k_aux, n_dead)
        scores = torch.where(dead, preactivations, -torch.inf)
        residual = (x - x_hat).detach()
        revived = sae.decode(Codes(*scores.topk(k_aux, dim=-1))) - sae.b_dec
        loss = loss + AUXK_COEFFICIENT * share * fvu(residual, revived)
    optimizer.zero_grad()
    loss.backward()
    _remove_parallel_gradient(sae)
    optimizer.step()
    sae.normalize_decoder()
    idle += x.shape[0]
    idle[codes.ids[codes.activations > 0]] = 0
    return float(reconstruction.detach())


@torch.no_grad()
def _remove_parallel_gradient(sae: TopKSae) -> None:
    """Drop the part of the gradient that only changes a decoder row's length."""
    gradient = sae.W_dec.grad
    assert gradient is not None
    gradient -= (gradient * sae.W_dec).sum(1, keepdim=True) * sae.W_dec


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int
) -> None:
    """Constant, then down to zero over the last fifth."""
    remaining = (steps - step) / max(1.0, 0.2 * steps)
    for group in optimizer.param_groups:
        group["lr"] = peak * min(1.0, remaining)


@torch.no_grad()
def measure(sae: TopKSae, rows: np.ndarray, *, batch_tokens: int = 4096) -> SaeQuality:
    """FVU, dead fraction and activation scale on held-out ``rows`` ``(n, d_in)``."""
    device = sae.b_dec.device
    fired = torch.zeros(sae.n_latents, dtype=torch.bool, device=device)
    mean = torch.from_numpy(np.asarray(rows, dtype=np.float32).mean(0)).to(device)
    error = variance = 0.0
    strongest = []
    for start in range(0, len(rows), batch_tokens):
        x = torch.from_numpy(np.asarray(rows[start : start + batch_tokens], dtype=np.float32))
        x = x.to(device)
        codes = sae.encode(x)
        fired[codes.ids[codes.activations > 0]] = True
        error += float((x - sae.decode(codes)).pow(2).sum())
        variance += float((x - mean).pow(2).sum())
        strongest.append(codes.activations.flatten().cpu().numpy())
    scale = float(np.quantile(np.concatenate(strongest), 0.9999)) / 255
    return SaeQuality(error / variance, 1 - float(fired.float().mean()), max(scale, 1e-8))


def _save(
    path: Path,
    identity: str,
    step: int,
    sae: TopKSae,
    optimizer: torch.optim.Adam,
    idle: Tensor,
) -> None:
    tensors = {f"model.{name}": t for name, t in sae.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": torch.as_tensor(t) for name, t in state.items()}
    tensors["idle"] = idle
    temporary = path.with_suffix(".tmp")
    detached = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # safetensors' own save_file lets nobody but the owner read it, whatever the umask says
    temporary.write_bytes(save(detached, metadata={"identity": identity, "step": str(step)}))
    os.replace(temporary, path)


def _resume(
    path: Path, identity: str, sae: TopKSae, optimizer: torch.optim.Adam, idle: Tensor
) -> int:
    """Load ``path`` into the given objects if it belongs to this run; returns the steps done."""
    if not path.exists():
        return 0
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if metadata.get("identity") != identity:
        logger.warning("%s was made with other settings or text; training starts anew", brief(path))
        return 0
    tensors = load_file(path)
    sae.load_state_dict({n[6:]: t for n, t in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    idle.copy_(tensors["idle"])
    return int(metadata["step"])
