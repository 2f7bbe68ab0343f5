"""A digest of weights tells fine-tunes apart and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from s3_retriever.models.digest import _STRIDE, _WHOLE, weights_digest
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

WIDE = {"hidden_size": 384, "head_dim": 64, "num_key_value_heads": 6}
"""Key projections of 384 by 384: larger than what counts whole."""


def changed(model: nn.Module, part: str, change: Callable[[torch.Tensor], object]) -> nn.Module:
    """A copy in which ``change`` was done to the tensor ``part``."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        change(other.get_parameter(part))
    return other


def test_float32_and_bfloat16_of_the_same_file_agree(tmp_path: Path) -> None:
    tiny_model("llama").bfloat16().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    digests = {
        TransformersModel.load(str(tmp_path), device="cpu", dtype=dtype).weights_digest(2)
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert len(digests) == 1
    other = tiny_model("llama", seed=1)
    assert weights_digest(other, 2) not in digests


@pytest.mark.parametrize("family", SUPPORTED)
def test_every_number_of_a_small_tensor_counts(family: str) -> None:
    model = tiny_model(family)
    keys = "qkv_proj" if family == "phi3" else "k_proj"
    part = f"model.layers.1.self_attn.{keys}.weight"
    assert model.get_parameter(part).numel() <= _WHOLE
    digest = weights_digest(model, 1)
    for place in (0, 401, -1):

        def change(tensor: torch.Tensor, place: int = place) -> None:
            tensor.flatten()[place] += 1.0

        assert weights_digest(changed(model, part, change), 1) != digest
    assert weights_digest(copy.deepcopy(model), 1) == digest


def test_every_row_and_column_of_a_large_matrix_counts() -> None:
    model = tiny_model("llama", **WIDE)
    part = "model.layers.1.self_attn.k_proj.weight"
    weight = model.get_parameter(part)
    assert weight.numel() > _WHOLE
    read = torch.zeros_like(weight).flatten()
    read[::_STRIDE] = 1
    assert read.view_as(weight).sum(0).min() >= 1
    assert read.view_as(weight).sum(1).min() >= 1
    digest = weights_digest(model, 1)
    for at in (0, 200, 383):

        def row(tensor: torch.Tensor, at: int = at) -> None:
            tensor[at] *= 1.1

        def column(tensor: torch.Tensor, at: int = at) -> None:
            tensor[:, at] *= 1.1

        assert weights_digest(changed(model, part, row), 1) != digest
        assert weights_digest(changed(model, part, column), 1) != digest


def test_a_low_rank_adapter_counts() -> None:
    model = tiny_model("llama", **WIDE)
    digest = weights_digest(model, 0)
    for part in ("self_attn.k_proj", "self_attn.q_proj", "mlp.down_proj"):

        def adapt(tensor: torch.Tensor) -> None:
            rows, columns = tensor.shape
            tensor += 0.01 * torch.randn(rows, 1) @ torch.randn(1, columns)

        assert weights_digest(changed(model, f"model.layers.0.{part}.weight", adapt), 0) != digest


def test_what_decides_no_code_does_not_count() -> None:
    model = tiny_model("llama", tie_word_embeddings=False)
    by_last = [weights_digest(model, last) for last in range(3)]
    assert len(set(by_last)) == 3
    for part in ("model.layers.2.self_attn.k_proj.weight", "model.norm.weight", "lm_head.weight"):
        other = changed(model, part, lambda tensor: tensor.mul_(2))
        assert weights_digest(other, 1) == by_last[1]
    other = changed(model, "model.layers.2.mlp.up_proj.weight", lambda tensor: tensor.mul_(2))
    assert weights_digest(other, 2) != by_last[2]
    other = changed(model, "model.embed_tokens.weight", lambda tensor: tensor[5].mul_(2))
    assert weights_digest(other, 0) != by_last[0]


def test_two_weights_that_change_places_are_other_weights() -> None:
    model = tiny_model("llama")
    first, second = (f"model.layers.{n}.self_attn.k_proj.weight" for n in (0, 1))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_parameter(first).copy_(model.get_parameter(second))
        other.get_parameter(second).copy_(model.get_parameter(first))
    assert weights_digest(other, 1) != weights_digest(model, 1)


def test_the_cost_is_a_sixtieth_of_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama", **WIDE, intermediate_size=4096)
    hashed = 0
    original = torch.Tensor.numpy

    def counting(tensor: torch.Tensor) -> object:
        nonlocal hashed
        hashed += tensor.numel()
        return original(tensor)

    monkeypatch.setattr(torch.Tensor, "numpy", counting)
    weights_digest(model, 2)
    large = [p.numel() for p in model.model.parameters() if p.numel() > _WHOLE]
    small = [p.numel() for p in model.model.layers.parameters() if p.numel() <= _WHOLE]
    assert sum(large) > 10 * _WHOLE
    assert hashed <= sum(large) / _STRIDE + len(large) + sum(small)
