"""The kernel against torch: interpreted on a CPU, and on a GPU where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from s3_retriever.encoding import fastest
from s3_retriever.encoding.codes import code_keys
from s3_retriever.profiles.autoencoder import TopKSae
from tests.encoding.fused_child import CASES

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_the_kernel_finds_what_torch_finds() -> None:
    pytest.importorskip("triton")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.encoding.fused_child"],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [told["name"] for told in found] == list(CASES)
    for told, (n, _, _, k) in zip(found, CASES.values(), strict=True):
        assert told["shape"] == [n, k]
        assert all(told[each] for each in ("steps", "ids", "off", "known")), told
    assert any(told["n_on"] for told in found)


def test_without_a_gpu_torch_codes() -> None:
    sae = TopKSae(d_in=8, n_latents=16, k=2)
    assert fastest.fastest(code_keys, sae, torch.randn(4, 8), 0.1) is code_keys


@pytest.mark.gpu
@needs_gpu
def test_the_faster_one_is_chosen_once() -> None:
    pytest.importorskip("triton")
    sae = TopKSae(d_in=64, n_latents=4096, k=16).cuda()
    keys = torch.randn(512, 64, device="cuda")
    chosen = fastest.fastest(code_keys, sae, keys, 0.01)
    assert chosen in (code_keys, fastest.fused())
    assert fastest.fastest(code_keys, sae, keys, 0.01) is chosen


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("size", [(1000, 192, 4096, 16), (300, 1024, 131_072, 128)])
def test_the_kernel_on_a_gpu(size: tuple[int, int, int, int]) -> None:
    pytest.importorskip("triton")
    kernel = fastest.fused()
    assert kernel is not None
    n, d_in, n_latents, k = size
    torch.manual_seed(0)
    sae = TopKSae(d_in, n_latents, k).cuda()
    keys = torch.randn(n, d_in, device="cuda")
    ids, steps = kernel(sae, keys, 0.01)
    expected = code_keys(sae, keys, 0.01)
    same = [
        len(set(a) & set(b)) / k for a, b in zip(ids.tolist(), expected[0].tolist(), strict=True)
    ]
    assert sum(same) / n > 0.999  # sums of another order may change near ties
    assert ((steps.int() - expected[1].int()).abs() <= 1).float().mean() > 0.999
