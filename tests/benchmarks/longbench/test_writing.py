"""Writing with a whole cache: greedy decoding, the end of a turn, what does not fit."""

from __future__ import annotations

import pytest
import torch
from s3_retriever_bench.longbench.writing import decode, write

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import TEXT, tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@torch.inference_mode()
def greedy(llm: TransformersModel, prompt: list[int], steps: int) -> list[int]:
    """Greedy decoding without a cache."""
    ids = list(prompt)
    for _ in range(steps):
        ids.append(int(llm.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "gemma3_text"])
def test_what_is_written_is_greedy(family: str) -> None:
    llm = tiny_llm(family)
    prompt = llm.tokenize(TEXT).ids.tolist()
    expected = greedy(llm, prompt, 12)
    written = write(llm, prompt, 12)
    assert (written.text, written.n_tokens) == (llm.decode(expected), 12)
    assert min(written.prefill_s, written.decode_s) > 0
    assert written.peak_bytes >= 0


def test_the_end_of_a_turn_is_not_written(
    tiny: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = tiny.tokenize("The lighthouse").ids.tolist()
    expected = greedy(tiny, prompt, 12)
    stop = next(t for i, t in enumerate(expected) if i >= 3 and t not in expected[:i])
    monkeypatch.setattr(tiny.model.generation_config, "eos_token_id", stop)
    before = expected[: expected.index(stop)]
    written = write(tiny, prompt, 12)
    assert (written.text, written.n_tokens) == (tiny.decode(before), len(before))


def test_the_cache_never_reads_the_last_token(tiny: TransformersModel) -> None:
    """A token after which nothing is written need not be read."""
    prompt = tiny.tokenize("The lighthouse").ids.tolist()
    read = tiny.prefill(prompt)
    decode(tiny, read, 5)
    assert read.cache.get_seq_length() == len(prompt) + 4


def test_what_does_not_fit_is_refused(tiny: TransformersModel) -> None:
    assert write(tiny, [1] * (tiny.window - 2), 2).n_tokens == 2
    with pytest.raises(InputError, match=f"{tiny.window - 1} tokens and 2 new"):
        write(tiny, [1] * (tiny.window - 1), 2)
    with pytest.raises(InputError, match="empty"):
        write(tiny, [], 2)
