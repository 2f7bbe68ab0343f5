"""Compressed caches against kvpress alone, on small models of each family and on the real one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from s3_retriever.errors import InputError
from s3_retriever.evaluate.longbench.caches import CACHE_METHODS, compress, write_compressed
from s3_retriever.evaluate.longbench.writing import decode, write
from s3_retriever.evaluate.methods.method import MethodUnavailable
from s3_retriever.generator.generator import Generator

from ...tiny import TEXT, tiny_generator

pytest.importorskip("kvpress")
pytestmark = pytest.mark.usefixtures("one_thread")

BUDGET = 90
ALL = list(CACHE_METHODS)
LAYERS = 8
"""Enough for PyramidKV to have a slope."""


def tiny(family: str, **overrides: Any) -> Generator:
    whole = {"mistral": {"sliding_window": None}}.get(family, {})
    return tiny_generator(family, max_position_embeddings=512, **{**whole, **overrides})


def prompt(generator: Generator, n_tokens: int = 300) -> list[int]:
    text = "".join(f"{n}. {TEXT}" for n in range(20))
    return generator.tokenize(text).ids.tolist()[:n_tokens]


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
def alone(generator: Generator, ids: list[int], press: Any, steps: int) -> tuple[Any, list[int]]:
    """The press's own hooks on a prefill of its own, then greedy steps in kvpress's way."""
    model, cache = generator.model, DynamicCache()
    sliding = generator.layout.family == "gemma3_text"
    with on_full_layers(press, model) if sliding else press(model):
        read = torch.tensor([ids]).to(model.device)
        logits = model(read, past_key_values=cache, logits_to_keep=1).logits[0, -1]
    kept = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
    written: list[int] = []
    for position in range(len(ids), len(ids) + steps):
        token = int(logits.argmax())
        if token in generator._stop_ids():
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
    generator = tiny(family)
    ids = prompt(generator)
    caches = compress(generator, ids, ALL, BUDGET)
    answers = dict(write_compressed(generator, ids, ALL, BUDGET, 12))
    assert list(answers) == list(caches) == ALL
    for name in ALL:
        press = CACHE_METHODS[name](BUDGET, len(ids))
        kept, written = alone(generator, ids, press, 12)
        for layer, (keys, values) in zip(caches[name].read.cache.layers, kept, strict=True):
            if layer.is_sliding:  # the window that the model needs, no more
                keys, values = keys[:, :, -7:], values[:, :, -7:]
            torch.testing.assert_close(layer.keys, keys)
            torch.testing.assert_close(layer.values, values)
        assert answers[name].text == generator.decode(written)
        assert answers[name].n_tokens == len(written)


@pytest.mark.parametrize("budget", [130, 200])  # kvpress's own pyramid is flat at the first
def test_what_is_kept_is_the_budget(budget: int) -> None:
    generator = tiny("llama", num_hidden_layers=LAYERS)
    ids = prompt(generator, 400)
    for name, compressed in compress(generator, ids, ALL, budget).items():
        found = lengths(compressed.read.cache)
        assert sum(found) / LAYERS == pytest.approx(budget, abs=0.5)
        if name == "pyramidkv":
            assert found == sorted(found, reverse=True)
            assert found[0] > found[-1]
        elif name != "dynamic":
            assert found == [budget] * LAYERS


def test_only_layers_that_see_everything_are_compressed() -> None:
    generator = tiny("gemma3_text")
    ids = prompt(generator)
    whole = generator.prefill(ids).cache
    assert lengths(whole) == [7, len(ids), 7]
    for compressed in compress(generator, ids, ["snapkv", "streaming-llm"], BUDGET).values():
        assert lengths(compressed.read.cache) == [7, BUDGET, 7]


def test_methods_do_not_touch_each_other() -> None:
    generator = tiny("qwen2")
    ids = prompt(generator)
    together = dict(write_compressed(generator, ids, ALL, BUDGET, 12))
    backwards = dict(write_compressed(generator, ids, ALL[::-1], BUDGET, 12))
    assert list(backwards) == ALL[::-1]
    for name in ALL:
        ((_, single),) = write_compressed(generator, ids, [name], BUDGET, 12)
        assert single.text == together[name].text == backwards[name].text


def test_the_model_is_left_as_it_was() -> None:
    generator = tiny("llama")
    ids = prompt(generator)
    before = write(generator, ids, 12).text
    list(write_compressed(generator, ids, ALL, BUDGET, 2))
    assert write(generator, ids, 12).text == before
    assert not any(layer.self_attn._forward_hooks for layer in generator.model.model.layers)


@pytest.mark.parametrize("n_tokens", [20, BUDGET])
def test_a_prompt_within_the_budget_is_kept_whole(n_tokens: int) -> None:
    generator = tiny("llama")
    ids = prompt(generator, n_tokens)
    expected = write(generator, ids, 12)
    for _, written in write_compressed(generator, ids, ALL, BUDGET, 12):
        assert written.text == expected.text


def test_one_token_over_the_budget_is_dropped() -> None:
    generator = tiny("llama")
    ids = prompt(generator, BUDGET + 1)
    for compressed in compress(generator, ids, ["streaming-llm", "snapkv"], BUDGET).values():
        assert lengths(compressed.read.cache) == [BUDGET] * 3


def test_streaming_llm_keeps_the_first_and_the_last() -> None:
    generator = tiny("llama")
    ids = prompt(generator)
    whole = generator.prefill(ids).cache.layers[1].keys
    kept = compress(generator, ids, ["streaming-llm"], BUDGET)["streaming-llm"].read.cache
    expected = torch.cat([whole[:, :, :4], whole[:, :, 4 - BUDGET :]], dim=2)
    torch.testing.assert_close(in_order(kept.layers[1].keys), in_order(expected))


def in_order(keys: Tensor) -> Tensor:
    """Positions of each head sorted by their first number: caches know no order."""
    order = keys[..., :1].argsort(dim=2)
    return keys.gather(2, order.expand_as(keys))


def test_what_cannot_be_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tiny("llama")
    ids = prompt(generator)
    with pytest.raises(InputError, match="no such method: lru"):
        compress(generator, ids, ["snapkv", "lru"], BUDGET)
    with pytest.raises(InputError, match="exceed the observation window of 64"):
        compress(generator, ids, ["snapkv"], 64)
    with pytest.raises(InputError, match="exceed the window of 512"):
        list(write_compressed(generator, ids, ["snapkv"], BUDGET, 300))
    monkeypatch.setitem(sys.modules, "kvpress", None)
    with pytest.raises(MethodUnavailable, match=r"s3-retriever\[bench\]"):
        compress(generator, ids, ["snapkv"], BUDGET)


def check_against_presses(generator: Generator, steps: int) -> None:
    log = "".join(
        f"On day {n} the keeper wrote the number {n * n} in his book. " for n in range(30)
    )
    question = "Which number did the keeper write on day 7?"
    ids = generator.chat_ids([{"role": "user", "content": f"{log}\n\n{question}"}])
    assert 500 < len(ids) < 700
    for name, compressed in compress(generator, ids, ALL, 160).items():
        kept, expected = alone(generator, ids, CACHE_METHODS[name](160, len(ids)), steps)
        for layer, (keys, values) in zip(compressed.read.cache.layers, kept, strict=True):
            assert torch.equal(layer.keys, keys)
            assert torch.equal(layer.values, values)
        text, n_tokens, _ = decode(generator, compressed.read, steps)
        assert (text, n_tokens) == (generator.decode(expected), len(expected))


def test_the_real_model_writes_what_it_writes_with_the_press_alone(generator: Generator) -> None:
    check_against_presses(generator, 4)


@pytest.mark.gpu
def test_on_a_gpu_too() -> None:
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    check_against_presses(Generator.load(name, device="cuda", dtype=torch.bfloat16), 24)
