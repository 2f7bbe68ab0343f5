"""Codes of a batch by hand, and their one copy to the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s3_retriever.encoding import codes
from s3_retriever.encoding.codes import code_batch, code_keys
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

SITES = ((2, (0, 1)), (0, (1,)))


def test_steps_by_hand() -> None:
    sae = TopKSae(d_in=2, n_latents=3, k=2)
    with torch.no_grad():
        sae.encoder.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    keys = torch.tensor([[0.26, 1.0], [-0.3, 0.25], [1000.0, 0.0]])
    ids, steps = code_keys(sae, keys, scale=0.1)
    assert ids[0].tolist() == [1, 0]
    assert ids[1].tolist() == [2, 1]
    assert ids[2, 0] == 0
    # 0.25 / 0.1 lies half-way and goes to the even step; 255 is the most there is
    assert steps.tolist() == [[10, 3], [3, 2], [255, 0]]


def test_many_rows_are_coded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sae = TopKSae(d_in=8, n_latents=64, k=4)
    keys = torch.randn(50, 8)
    whole = code_keys(sae, keys, 0.01)
    for most in (1, 7 * 64):
        monkeypatch.setattr(codes, "_MOST_SCORES", most)
        parts = code_keys(sae, keys, 0.01)
        assert torch.equal(parts[0], whole[0])
        assert torch.equal(parts[1], whole[1])


def test_a_batch_is_its_chunks_in_order(tmp_path: Path) -> None:
    llm = tiny_llm()
    profile = Profile.load(write_profile(tmp_path, llm, sites=SITES, heads=()))
    card = profile.card
    chunks = [torch.randn(n, llm.layout.n_kv_heads, llm.layout.head_dim) for n in (3, 1, 5)]
    keys = {layer: [chunk + layer for chunk in chunks] for layer, _ in SITES}
    ids, steps = code_batch(profile, keys).take()
    assert ids.shape == steps.shape == (9, len(SITES), card.k)
    assert (ids.dtype, steps.dtype) == (np.int32, np.uint8)
    for index, ((layer, heads), hookpoint) in enumerate(zip(SITES, card.hookpoints, strict=True)):
        start = 0
        for chunk in keys[layer]:
            rows = chunk[:, list(heads)].flatten(1)
            own = code_keys(profile.saes[index], rows, hookpoint.activation_scale)
            end = start + len(chunk)
            assert (ids[start:end, index] == own[0].numpy()).all()
            assert (steps[start:end, index] == own[1].numpy()).all()
            start = end


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_codes_come_from_a_gpu_as_from_the_cpu(tmp_path: Path) -> None:
    llm = tiny_llm()
    profile = Profile.load(write_profile(tmp_path, llm, sites=SITES, heads=()))
    chunks = [torch.randn(n, llm.layout.n_kv_heads, llm.layout.head_dim) for n in (300, 41)]
    here = code_batch(profile, {layer: chunks for layer, _ in SITES}).take()
    there = {layer: [chunk.cuda() for chunk in chunks] for layer, _ in SITES}
    on_their_way = [code_batch(profile, there) for _ in range(3)]
    for coded in on_their_way:
        ids, steps = coded.take()
        assert (ids == here[0]).mean() > 0.999  # sums of another order may change near ties
        assert (np.abs(steps.astype(int) - here[1]) <= 1).mean() > 0.999
