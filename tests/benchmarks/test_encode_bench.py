"""Coding is timed at the sizes that are asked for."""

from __future__ import annotations

import pytest
import torch
from s3_retriever_bench.encode_bench import SaeSize, bench_encode

from s3_retriever.errors import InputError


def test_without_a_gpu_torch_alone_is_timed() -> None:
    result = bench_encode([SaeSize(8, 64, 4)], device=torch.device("cpu"), tokens=10, repeats=1)
    (row,) = result["sizes"]
    assert (row["d_in"], row["n_latents"], row["k"]) == (8, 64, 4)
    assert row["torch_ms"] > 0
    assert row["fused_ms"] is row["speedup"] is row["same_ids"] is None
    with pytest.raises(InputError):
        bench_encode([], device=torch.device("cpu"), tokens=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_on_a_gpu() -> None:
    pytest.importorskip("triton")
    result = bench_encode([SaeSize(64, 4096, 16)], device=torch.device("cuda"), repeats=1)
    (row,) = result["sizes"]
    assert row["fused_ms"] > 0
    assert row["same_ids"] > 0.999
