"""Compressed caches against kvpress alone, on small models of each family and on the real one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from s3_retriever_bench.longbench.caches import CACHE_METHODS, compress, write_compressed
from s3_retriever_bench.longbench.writing import decode, write
from s3_retriever_bench.methods.method import MethodUnavailable
from torch import Tensor
from transformers import DynamicCache

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import TEXT, tiny_llm

pytest.importorskip("kvpress")
pytestmark = pytest.mark.usefixtures("one_thread")

BUDGET = 90
ALL = list(CACHE_METHODS)
LAYERS = 8
"""Enough for PyramidKV to have a slope."""


def tiny(family: str, **overrides: Any) -> TransformersModel:
    whole = {"mistral": {"sliding_window": None}}.get(family, {})
    return tiny_llm(family, max_position_embeddings=512, **{**whole, **overrides})


def prompt(llm: TransformersModel, n_tokens: int = 300) -> list[int]:
    text = "".join(f"{n}. {TEXT}" for n in range(20))
    return llm.tokenize(text).ids.tolist()[:n_tokens]


@contextmanager
def on_full_layers(press: Any, model: Any) -> Iterator[None]:
    """kvpress's context as it is for Gemma 3 with a vision tower: sliding layers are left out."""
    press.post_init_from_model(model)
    attentions = [layer.self_attn for layer in model.model.layers]
    handles = [
        a.register_forward_hook(press.forward_hook, with_kwargs=True)
        for a in attentions
        if not getattr(a, "is_sliding", False)
    ]
    yield
    for handle in handles:
        handle.remove()


@torch.inference_mode()
def alone(llm: TransformersModel, ids: list[int], press: Any, steps: int) -> tuple[Any, list[int]]:
    """The press's own hooks on a prefill of its own, then greedy steps in kvpress's way."""
    model, cache = llm.model, DynamicCache()
    sliding = llm.layout.family == "gemma3_text"
    with on_full_layers(press, model) if sliding else press(model):
        read = torch.tensor([ids]).to(model.device)
        logits = model(read, past_key_values=cache, logits_to_keep=1).logits[0, -1]
    kept = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
    written: list[int] = []
    for position in range(len(ids), len(ids) + steps):
        token = int(logits.argmax())
        if token in llm.stop_ids():
            break
        written.append(token)
        logits = model(
            torch.tensor([[token]]).to(model.device),
            past_key_values=cache,
            position_ids=torch.tensor([[position]]).to(model.device),
        ).logits[0, -1]
    return kept, written


def lengths(cache: Any) -> list[int]:
    return [layer.keys.shape[2] for layer in cache.layers]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "phi3", "gemma3_text"])
def test_each_method_is_its_press_alone(family: str) -> None:
    llm = tiny(family)
    ids = prompt(llm)
    caches = compress(llm, ids, ALL, BUDGET)
    answers = dict(write_compressed(llm, ids, ALL, BUDGET, 12))
    assert list(answers) == list(caches) == ALL
    for name in ALL:
        press = CACHE_METHODS[name](BUDGET, len(ids))
        kept, written = alone(llm, ids, press, 12)
        for layer, (keys, values) in zip(caches[name].read.cache.layers, kept, strict=True):
            if layer.is_sliding:  # the window that the model needs, no more
                keys, values = keys[:, :, -7:], values[:, :, -7:]
            torch.testing.assert_close(layer.keys, keys)
            torch.testing.assert_close(layer.values, values)
        assert answers[name].text == llm.decode(written)
        assert answers[name].n_tokens == len(written)


@pytest.mark.parametrize("budget", [130, 200])  # kvpress's own pyramid is flat at the first
def test_what_is_kept_is_the_budget(budget: int) -> None:
    llm = tiny("llama", num_hidden_layers=LAYERS)
    ids = prompt(llm, 400)
    for name, compressed in compress(llm, ids, ALL, budget).items():
        found = lengths(compressed.read.cache)
        assert sum(found) / LAYERS == pytest.approx(budget, abs=0.5)
        if name == "pyramidkv":
            assert found == sorted(found, reverse=True)
            assert found[0] > found[-1]
        elif name != "dynamic":
            assert found == [budget] * LAYERS


def test_only_layers_that_see_everything_are_compressed() -> None:
    llm = tiny("gemma3_text")
    ids = prompt(llm)
    whole = llm.prefill(ids).cache
    assert lengths(whole) == [7, len(ids), 7]
    for compressed in compress(llm, ids, ["snapkv", "streaming-llm"], BUDGET).values():
        assert lengths(compressed.read.cache) == [7, BUDGET, 7]


def test_methods_do_not_touch_each_other() -> None:
    llm = tiny("qwen2")
    ids = prompt(llm)
    together = dict(write_compressed(llm, ids, ALL, BUDGET, 12))
    backwards = dict(write_compressed(llm, ids, ALL[::-1], BUDGET, 12))
    assert list(backwards) == ALL[::-1]
    for name in ALL:
        ((_, single),) = write_compressed(llm, ids, [name], BUDGET, 12)
        assert single.text == together[name].text == backwards[name].text


def test_the_model_is_left_as_it_was() -> None:
    llm = tiny("llama")
    ids = prompt(llm)
    before = write(llm, ids, 12).text
    list(write_compressed(llm, ids, ALL, BUDGET, 2))
    assert write(llm, ids, 12).text == before
    assert not any(layer.self_attn._forward_hooks for layer in llm.model.model.layers)


@pytest.mark.parametrize("n_tokens", [20, BUDGET])
def test_a_prompt_within_the_budget_is_kept_whole(n_tokens: int) -> None:
    llm = tiny("llama")
    ids = prompt(llm, n_tokens)
    expected = write(llm, ids, 12)
    for _, written in write_compressed(llm, ids, ALL, BUDGET, 12):
        assert written.text == expected.text


def test_one_token_over_the_budget_is_dropped() -> None:
    llm = tiny("llama")
    ids = prompt(llm, BUDGET + 1)
    for compressed in compress(llm, ids, ["streaming-llm", "snapkv"], BUDGET).values():
        assert lengths(compressed.read.cache) == [BUDGET] * 3


def test_streaming_llm_keeps_the_first_and_the_last() -> None:
    llm = tiny("llama")
    ids = prompt(llm)
    whole = llm.prefill(ids).cache.layers[1].keys
    kept = compress(llm, ids, ["streaming-llm"], BUDGET)["streaming-llm"].read.cache
    expected = torch.cat([whole[:, :, :4], whole[:, :, 4 - BUDGET :]], dim=2)
    torch.testing.assert_close(in_order(kept.layers[1].keys), in_order(expected))


def in_order(keys: Tensor) -> Tensor:
    """Positions of each head sorted by their first number: caches know no order."""
    order = keys[..., :1].argsort(dim=2)
    return keys.gather(2, order.expand_as(keys))


def test_what_cannot_be_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = tiny("llama")
    ids = prompt(llm)
    with pytest.raises(InputError, match="no such method: lru"):
        compress(llm, ids, ["snapkv", "lru"], BUDGET)
    with pytest.raises(InputError, match="exceed the observation window of 64"):
        compress(llm, ids, ["snapkv"], 64)
    with pytest.raises(InputError, match="exceed the window of 512"):
        list(write_compressed(llm, ids, ["snapkv"], BUDGET, 300))
    monkeypatch.setitem(sys.modules, "kvpress", None)
    with pytest.raises(MethodUnavailable, match="pip install s3-retriever-bench"):
        compress(llm, ids, ["snapkv"], BUDGET)


def check_against_presses(llm: TransformersModel, steps: int) -> None:
    log = "".join(
        f"On day {n} the keeper wrote the number {n * n} in his book. " for n in range(30)
    )
    question = "Which number did the keeper write on day 7?"
    ids = llm.chat_ids([{"role": "user", "content": f"{log}\n\n{question}"}])
    assert 500 < len(ids) < 700
    for name, compressed in compress(llm, ids, ALL, 160).items():
        kept, expected = alone(llm, ids, CACHE_METHODS[name](160, len(ids)), steps)
        for layer, (keys, values) in zip(compressed.read.cache.layers, kept, strict=True):
            assert torch.equal(layer.keys, keys)
            assert torch.equal(layer.values, values)
        text, n_tokens, _ = decode(llm, compressed.read, steps)
        assert (text, n_tokens) == (llm.decode(expected), len(expected))


def test_the_real_model_writes_what_it_writes_with_the_press_alone(llm: TransformersModel) -> None:
    check_against_presses(llm, 4)


@pytest.mark.gpu
def test_on_a_gpu_too() -> None:
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    check_against_presses(TransformersModel.load(name, device="cuda", dtype=torch.bfloat16), 24)
