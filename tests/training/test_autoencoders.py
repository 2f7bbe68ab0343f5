"""Training on keys of a known sparse dictionary: quality, resuming, dead latents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s3_retriever.errors import InputError
from s3_retriever.profiles.autoencoder import TopKSae, fvu
from s3_retriever.settings import SaeSettings
from s3_retriever.training.autoencoders import (
    AUXK_COEFFICIENT,
    _remove_parallel_gradient,
    _set_learning_rate,
    _step,
    measure,
    train,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SETTINGS = SaeSettings(
    latents=64, k=4, steps=150, batch_tokens=128, learning_rate=5e-3, checkpoint_steps=10
)


def sparse_rows(n: int, *, features: int, seed: int = 0) -> np.ndarray:
    """``(n, 16)`` float16: three of ``features`` fixed directions each, around a mean of 3."""
    directions = np.random.default_rng(5).standard_normal((features, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    random = np.random.default_rng(seed)
    active = random.random((n, features)).argsort(1)[:, :3]
    strengths = np.zeros((n, features))
    np.put_along_axis(strengths, active, random.uniform(0.5, 1.5, (n, 3)), 1)
    return (strengths @ directions + 3).astype(np.float16)


ROWS = sparse_rows(4000, features=24)
HELD_OUT = sparse_rows(2000, features=24, seed=1)


def settings(**changes: Any) -> SaeSettings:
    return SETTINGS.model_copy(update=changes)


def same(a: TopKSae, b: TopKSae) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_sparse_dictionary_is_learnt(tmp_path: Path) -> None:
    losses: list[float] = []
    sae = train(
        ROWS, SETTINGS, tmp_path / "long", device=CPU, on_step=lambda _, loss: losses.append(loss)
    )
    after_one = train(ROWS, settings(steps=1), tmp_path / "short", device=CPU)
    quality, start = measure(sae, HELD_OUT), measure(after_one, HELD_OUT)
    assert quality.fvu < 0.15 < 0.4 < start.fvu
    assert quality.fvu == pytest.approx(np.mean(losses[-10:]), rel=0.2)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(64))
    assert not sae.training and not any(p.requires_grad for p in sae.parameters())


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first = train(ROWS, settings(steps=20), tmp_path / "a", device=CPU)
    torch.rand(7)  # whatever else drew random numbers in between
    again = train(ROWS, settings(steps=20), tmp_path / "b", device=CPU)
    other = train(ROWS, settings(steps=20, seed=1), tmp_path / "c", device=CPU)
    assert same(first, again)
    assert not same(first, other)


class _Interrupted(Exception):  # noqa: N818
    pass


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    # latents die within the run, so that what counts their idle tokens matters too
    run = settings(steps=60, dead_tokens=500, learning_rate=2e-2)
    whole = train(ROWS, run, tmp_path / "whole", device=CPU)
    steps: list[int] = []

    def on_step(step: int, _: float) -> None:
        steps.append(step)
        if steps[-1] == 37 and len(steps) == 37:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(ROWS, run, tmp_path / "parts", device=CPU, on_step=on_step)
    parts = train(ROWS, run, tmp_path / "parts", device=CPU, on_step=on_step)
    assert steps == [*range(1, 38), *range(31, 61)]  # from the checkpoint of step 30
    assert same(whole, parts)
    done = train(ROWS, run, tmp_path / "parts", device=CPU, on_step=on_step)
    assert len(steps) == 67  # a finished run takes no step
    assert same(whole, done)


def test_a_checkpoint_is_for_whom_the_umask_lets_in(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        train(ROWS, settings(steps=10), tmp_path / "checkpoint", device=CPU)
    finally:
        os.umask(before)
    modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir() if path.is_file()}
    assert modes == {"0o640"}


@pytest.mark.parametrize("changed", ["settings", "rows"])
def test_a_checkpoint_of_another_run_is_left_alone(tmp_path: Path, changed: str) -> None:
    train(ROWS, settings(steps=10), tmp_path / "used", device=CPU)
    rows = ROWS[::-1].copy() if changed == "rows" else ROWS
    run = settings(steps=10, k=3 if changed == "settings" else 4)
    fresh = train(rows, run, tmp_path / "fresh", device=CPU)
    assert same(train(rows, run, tmp_path / "used", device=CPU), fresh)


def test_dead_latents_are_revived(tmp_path: Path) -> None:
    """More features than latents, and a rate at which many latents die at first."""
    rows = sparse_rows(4000, features=256)
    held_out = sparse_rows(4000, features=256, seed=1)
    run = settings(latents=128, k=2, steps=200, learning_rate=5e-2)

    def dead_fraction(dead_tokens: int) -> float:
        path = tmp_path / str(dead_tokens)
        sae = train(rows, run.model_copy(update={"dead_tokens": dead_tokens}), path, device=CPU)
        return measure(sae, held_out).dead_fraction

    left_dead, revived = dead_fraction(10**9), dead_fraction(1500)
    assert left_dead > 0.3
    assert revived < 0.6 * left_dead


def test_few_dead_latents_weigh_less() -> None:
    """Gao et al., section 2.4: the loss shrinks where fewer than half the dimensions are dead."""
    torch.manual_seed(0)
    x = torch.randn(32, 16)
    sae = TopKSae(16, 24, 3)
    dead = torch.zeros(24, dtype=torch.bool)
    dead[7] = True
    codes = sae.encode(x)
    residual = (x - sae.decode(codes)).detach()
    latent = sae.preactivations(x)[:, 7:8]
    expected = AUXK_COEFFICIENT / 8 * fvu(residual, latent * sae.W_dec[7])
    expected = expected + fvu(x, sae.decode(codes))
    (gradient,) = torch.autograd.grad(expected, sae.encoder.bias)

    _step(sae, torch.optim.SGD(sae.parameters(), lr=0.0), x, dead * 100.0, dead_tokens=50)
    assert sae.encoder.bias.grad is not None
    torch.testing.assert_close(sae.encoder.bias.grad, gradient)


def test_idle_tokens_are_counted() -> None:
    sae = TopKSae(2, 4, 1)
    with torch.no_grad():
        sae.encoder.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    idle = torch.tensor([5.0, 5.0, 5.0, 5.0])
    x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [4.0, 1.0]])  # latents 0, 1, 0
    _step(sae, torch.optim.SGD(sae.parameters(), lr=0.0), x, idle, dead_tokens=100)
    assert idle.tolist() == [0.0, 0.0, 8.0, 8.0]


def test_learning_rate_falls_in_the_last_fifth() -> None:
    optimizer = torch.optim.SGD(TopKSae(2, 4, 1).parameters())
    rates = []
    for step in (0, 79, 80, 90, 99):
        _set_learning_rate(optimizer, 2.0, step, 100)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([2.0, 2.0, 2.0, 1.0, 0.1])


def test_gradient_along_a_decoder_row_is_dropped() -> None:
    sae = TopKSae(2, 2, 1)
    sae.W_dec.data = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    sae.W_dec.grad = torch.tensor([[5.0, 7.0], [1.2, 1.6]])  # the second is all along its row
    _remove_parallel_gradient(sae)
    torch.testing.assert_close(sae.W_dec.grad, torch.tensor([[0.0, 7.0], [0.0, 0.0]]))


def test_measure_by_hand() -> None:
    sae = TopKSae(1, 4, 1)
    with torch.no_grad():
        sae.encoder.weight.copy_(torch.tensor([[1.0], [-1.0], [0.5], [0.0]]))
        sae.W_dec.copy_(torch.tensor([[1.0], [-1.0], [1.0], [1.0]]))
        sae.encoder.bias.copy_(torch.tensor([0.0, -1.0, 0.0, 0.0]))
    rows = np.array([[4.0], [-4.0], [2.0], [2.0]], dtype=np.float16)
    # codes 4, 3, 2, 2: all but -4 (which becomes -3) are exact; the mean is 1
    quality = measure(sae, rows, batch_tokens=3)
    assert quality.fvu == pytest.approx(1 / (9 + 25 + 1 + 1))
    assert quality.dead_fraction == 0.5  # latents 2 and 3
    assert quality.activation_scale == pytest.approx(4 / 255, rel=1e-3)


def test_too_little_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="127 tokens, fewer than one batch of 128"):
        train(ROWS[:127], SETTINGS, tmp_path / "a", device=CPU)
