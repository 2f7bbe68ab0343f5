"""Keys and values that are kept: how many bytes of them, and that they change no value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from s3_retriever.models import query_likelihood
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.past import Past
from s3_retriever.models.prefix_cache import PrefixCache
from s3_retriever.models.query_likelihood import PREFIX, SUFFIX, question_log_likelihoods
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import TEXT, tiny_llm, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTIONS = ("When did the lamp burn?", "Flour?", "Who left it to ferment for a week, and why?")


def ids(*tokens: int) -> np.ndarray:
    return np.array(tokens, dtype=np.int32)


def passages_of(llm: TransformersModel) -> list[np.ndarray]:
    """Of very different lengths, one of them empty."""
    lines = TEXT.splitlines()
    texts = (lines[0], "Rye.", lines[1] + lines[0], "", lines[1], "A lamp.")
    return [llm.tokenize(text).ids for text in texts]


def uncached(family: str = "llama", **overrides: object) -> TransformersModel:
    model = tiny_model(family, **overrides)
    return TransformersModel(model, tiny_tokenizer(), "tiny", likelihood_cache_bytes=0)


# The cache


def test_the_least_recently_used_goes() -> None:
    cache = PrefixCache(most_bytes=3 * 40)
    for n in range(3):
        cache.put(ids(n), torch.full((10,), float(n)))
    assert cache.get(ids(0)) is not None
    cache.put(ids(3), torch.zeros(10))
    known = [n for n in range(4) if cache.get(ids(n)) is not None]
    assert known == [0, 2, 3]
    assert cache.n_bytes == 120
    cache.put(ids(4), torch.zeros(20))  # as large as two
    assert [n for n in range(5) if cache.get(ids(n)) is not None] == [3, 4]


def test_bytes_are_those_of_the_storage() -> None:
    cache = PrefixCache(most_bytes=1000)
    cache.put(ids(1), torch.zeros(10, dtype=torch.bfloat16))
    assert cache.n_bytes == 20
    cache.put(ids(1), torch.zeros(30, dtype=torch.bfloat16))
    assert (len(cache), cache.n_bytes) == (1, 60)
    cache.put(ids(2), torch.zeros(100)[:5])  # a view keeps all 100 in memory
    assert cache.n_bytes == 460


def test_what_is_too_large_displaces_nothing() -> None:
    cache = PrefixCache(most_bytes=100)
    cache.put(ids(1), torch.zeros(10))
    cache.put(ids(2), torch.zeros(26))
    assert cache.get(ids(2)) is None
    assert cache.get(ids(1)) is not None


def test_a_smaller_cache_gives_up_what_does_not_fit() -> None:
    cache = PrefixCache(most_bytes=100)
    cache.put(ids(1), torch.zeros(10))
    cache.put(ids(2), torch.zeros(10))
    cache.resize(50)
    assert (len(cache), cache.n_bytes, cache.most_bytes) == (1, 40, 50)
    cache.resize(0)
    cache.put(ids(3), torch.zeros(1))
    assert (len(cache), cache.n_bytes) == (0, 0)


def test_a_past_is_padded_behind_each_text() -> None:
    texts = [torch.randn(2, 2, 3, n, 4) for n in (5, 2)]
    new = torch.randn(2, 2, 3, 1, 4)
    past = Past(texts)
    found = past.update(new[0], new[1], 1)
    for kind in (0, 1):
        assert found[kind].shape == (2, 3, 6, 4)
        for row, text in enumerate(texts):
            n = text.shape[-2]
            assert torch.equal(found[kind][row, :, :n], text[1, kind])
            assert not found[kind][row, :, n:5].any()
        assert torch.equal(found[kind][..., 5:, :], new[kind])
    assert past.get_seq_length() == 5


# The values


@pytest.mark.parametrize("family", SUPPORTED)
def test_what_is_kept_changes_no_value(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some passages known, all of them, several batches; narrow sliding windows as today."""
    plain, llm = uncached(family), tiny_llm(family)
    passages = passages_of(llm)
    question_log_likelihoods(llm, passages[1:4], QUESTIONS[0])
    for most in (4096, 200, 1):
        monkeypatch.setattr(query_likelihood, "_PAST_TOKENS", most)
        for question in QUESTIONS:
            expected = question_log_likelihoods(plain, passages, question)
            values = question_log_likelihoods(llm, passages, question)
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)
    assert len(plain.likelihood_cache) == 0
    assert len(llm.likelihood_cache) == len(passages)


def test_the_order_is_that_of_the_passages() -> None:
    llm = tiny_llm("llama")
    passages = passages_of(llm)
    values = question_log_likelihoods(llm, passages, QUESTIONS[0])
    turned = question_log_likelihoods(llm, [*passages[::-1], passages[0]], QUESTIONS[0])
    np.testing.assert_allclose(turned[:-1][::-1], values, atol=1e-4, rtol=0)
    np.testing.assert_allclose(turned[-1], values[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_passage_takes(dtype: torch.dtype) -> None:
    """Keys and values of all layers, of all before the question but one token; nothing else."""
    model = tiny_model("llama").to(dtype)
    llm = TransformersModel(model, tiny_tokenizer(), "tiny")
    passages = passages_of(llm)
    question_log_likelihoods(llm, passages, QUESTIONS[0])
    around = llm.count_tokens(PREFIX) + llm.count_tokens(SUFFIX) - 1
    n_tokens = sum(len(passage) + around for passage in passages)
    layout = llm.layout
    token = 2 * layout.n_layers * layout.n_kv_heads * layout.head_dim * dtype.itemsize
    assert llm.likelihood_cache.n_bytes == n_tokens * token


def only_questions_are_read(llm: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each forward pass from now on."""
    read: list[int] = []
    forward = llm.model.forward

    def counting(*args: object, **kwargs: object) -> object:
        read.append(kwargs["input_ids"].numel())  # type: ignore[attr-defined]
        return forward(*args, **kwargs)

    monkeypatch.setattr(llm.model, "forward", counting)
    return read


def test_a_passage_that_comes_back_costs_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = tiny_llm("llama")
    passages = passages_of(llm)
    read = only_questions_are_read(llm, monkeypatch)
    question_log_likelihoods(llm, passages, QUESTIONS[0])
    assert sum(read) > sum(map(len, passages))
    read.clear()
    question_log_likelihoods(llm, passages, QUESTIONS[1])
    assert sum(read) == len(passages) * llm.count_tokens(" " + QUESTIONS[1])


def test_a_cache_smaller_than_a_passage() -> None:
    plain, llm = uncached(), tiny_llm("llama")
    passages = passages_of(llm)
    llm.likelihood_cache.resize(15_000)  # one of the short ones fits, no long one
    for _ in range(2):
        for question in QUESTIONS:
            values = question_log_likelihoods(llm, passages, question)
            expected = question_log_likelihoods(plain, passages, question)
            np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)
    assert 0 < len(llm.likelihood_cache) < len(passages)
    assert llm.likelihood_cache.n_bytes <= 15_000


def test_a_question_asked_again_gets_the_same_values(llm: TransformersModel) -> None:
    """In the dtype that the model is used in, to the last digit: kept, not kept, all the same."""
    texts = [*TEXT.splitlines(), QUESTIONS[0], "Rye."]
    passages = [llm.tokenize(text).ids for text in texts]
    cache = llm.likelihood_cache
    cache.clear()
    first = question_log_likelihoods(llm, passages, QUESTIONS[0])
    again = question_log_likelihoods(llm, passages, QUESTIONS[0])
    assert (again == first).all()
    off = TransformersModel(llm.model, llm.tokenizer, llm.name, likelihood_cache_bytes=0)
    assert (question_log_likelihoods(off, passages, QUESTIONS[0]) == first).all()


def test_threads_share_a_small_cache() -> None:
    plain, llm = uncached(), tiny_llm("llama")
    passages = passages_of(llm)
    llm.likelihood_cache.resize(60_000)
    work = [(question, n) for n in range(len(passages)) for question in QUESTIONS] * 2

    def values(item: tuple[str, int]) -> np.ndarray:
        question, n = item
        return question_log_likelihoods(llm, passages[n:] + passages[:n], question)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(values, work))
    expected = {q: question_log_likelihoods(plain, passages, q) for q in QUESTIONS}
    for (question, n), rows in zip(work, found, strict=True):
        np.testing.assert_allclose(rows, np.roll(expected[question], -n, axis=0), atol=1e-4, rtol=0)
    cache = llm.likelihood_cache
    assert cache.n_bytes == sum(each.untyped_storage().nbytes() for each in cache.tensors())
    assert cache.n_bytes <= cache.most_bytes
