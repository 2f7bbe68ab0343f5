"""A forward pass with hooks computes no more than it must and leaves the model as it was."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import DynamicCache

from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")

CHUNK = np.arange(20, 60, dtype=np.int32)


def names_that_ran(model: nn.Module, run: Any) -> list[str]:
    """Modules entered while ``run()`` runs."""
    entered: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
        for name, module in model.named_modules()
    ]
    run()
    for handle in handles:
        handle.remove()
    return entered


def count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())


@pytest.mark.parametrize("family", SUPPORTED)
def test_nothing_runs_after_the_last_projection(family: str) -> None:
    llm = tiny_llm(family)
    ran = names_that_ran(llm.model, lambda: llm.project([CHUNK], [0, 1]))
    of_last = {name.split("layers.1")[1] for name in ran if "layers.1" in name}
    projections = {
        "phi3": {".self_attn.qkv_proj"},
        "qwen3": {".self_attn.k_proj", ".self_attn.k_norm"},
        "gemma3_text": {".self_attn.k_proj", ".self_attn.k_norm"},
    }.get(family, {".self_attn.k_proj"})
    assert of_last == {"", ".input_layernorm", ".self_attn"} | projections
    assert any("layers.0.mlp" in name for name in ran)
    after = ("layers.2", "lm_head")
    assert not any(part in name for name in ran for part in after)
    assert "model.norm" not in ran


def test_queries_are_not_computed_unless_asked_for() -> None:
    llm = tiny_llm()
    ran = names_that_ran(llm.model, lambda: llm.project([CHUNK], [0]))
    assert "model.layers.0.self_attn.q_proj" not in ran
    found = llm.project([CHUNK], [2, 0, 2], with_keys=False, with_queries=True)
    assert (list(found.keys), sorted(found.queries)) == ([], [0, 2])


def test_no_cache_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = tiny_llm()
    made: list[object] = []
    original = DynamicCache.__init__

    def counting(self: DynamicCache, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(DynamicCache, "__init__", counting)
    llm.project([CHUNK], [2])
    assert not made
    with torch.inference_mode():  # the counter does count
        llm.model(torch.tensor([[1, 2]]), use_cache=True)
    assert made


@pytest.mark.parametrize("family", SUPPORTED)
def test_the_model_is_what_it_was(family: str) -> None:
    llm = tiny_llm(family)
    ids = torch.from_numpy(CHUNK.astype(np.int64))[None]
    with torch.inference_mode():
        before = llm.model(ids).logits
        llm.project([CHUNK], [0, 1, 2], with_queries=True)
        assert count_hooks(llm.model) == 0
        assert torch.equal(llm.model(ids).logits, before)


def test_hooks_are_removed_when_the_pass_fails() -> None:
    llm = tiny_llm()

    def fail(*_: object) -> None:
        raise MemoryError("half-way")

    handle = llm.model.model.layers[1].mlp.register_forward_pre_hook(fail)
    with pytest.raises(MemoryError, match="half-way"):
        llm.project([CHUNK], [0, 2])
    handle.remove()
    assert count_hooks(llm.model) == 0
    with pytest.raises(IndexError):  # fails while hooks are being put in
        llm.project([CHUNK], [0, 99])
    assert count_hooks(llm.model) == 0


@pytest.mark.parametrize("family", SUPPORTED)
def test_padding_does_not_change_what_is_read(family: str) -> None:
    llm = tiny_llm(family)
    chunks = [CHUNK[:5], CHUNK, CHUNK[7:24]]
    together = llm.project(chunks, [0, 2], with_queries=True)
    for row, chunk in enumerate(chunks):
        alone = llm.project([chunk], [0, 2], with_queries=True)
        for layer in (0, 2):
            for found, expected in zip(together, alone, strict=True):
                kept = found[layer][row, : len(chunk)]
                torch.testing.assert_close(kept, expected[layer][0], atol=2e-5, rtol=1e-4)


def test_threads_share_one_model() -> None:
    llm = tiny_llm()
    chunks = [CHUNK[i : i + 12] for i in range(8)]
    expected = [llm.project([c], [i % 3]).keys[i % 3] for i, c in enumerate(chunks)]
    prompt = CHUNK[:6].tolist()
    answer = "".join(llm.stream(prompt, max_new_tokens=8))
    failures: list[str] = []

    def read(index: int) -> None:
        for _ in range(10):
            found = llm.project([chunks[index]], [index % 3]).keys
            if list(found) != [index % 3] or not torch.equal(found[index % 3], expected[index]):
                failures.append(f"chunk {index}")

    def write() -> None:
        for _ in range(3):
            if "".join(llm.stream(prompt, max_new_tokens=8)) != answer:
                failures.append("answer")

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    threads += [threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_real_model_reads_alike_alone_and_after_padding(llm: TransformersModel) -> None:
    short, long = llm.tokenize("A cat sat."), llm.tokenize("The dog ran. " * 9)
    together = llm.project([short.ids, long.ids], [3]).keys[3]
    alone = llm.project([short.ids], [3]).keys[3]
    assert together.shape == (2, len(long), 3, 64)
    cosine = torch.cosine_similarity(together[0, : len(short)].float(), alone[0].float(), dim=-1)
    assert cosine.min() > 0.999  # bfloat16 where the hardware has it
