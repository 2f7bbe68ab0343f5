"""Packed questions against one plain forward pass each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from s3_retriever.models import query_likelihood
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.query_likelihood import (
    Reading,
    question_log_likelihoods,
    read_together,
)
from s3_retriever.models.rounds import Rounds
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import TEXT, tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "When did the lamp burn?"


def plainly(llm: TransformersModel, passage: np.ndarray) -> np.ndarray:
    """Log-probability of the question's tokens after one passage, by the model's own call."""
    head = llm.prefix_ids("Passage: ", bos=llm.adds_bos)
    asked = llm.tokenize(" " + QUESTION).ids
    ids = np.concatenate([head, passage, llm.tokenize("\nQuestion:").ids, asked])
    tokens = torch.from_numpy(ids.astype(np.int64))
    with torch.inference_mode():
        logits = llm.model(tokens[None]).logits[0].float().log_softmax(-1)
    first = len(ids) - len(asked)
    values: np.ndarray = logits[range(first - 1, len(ids) - 1), tokens[first:]].numpy()
    return values


@pytest.mark.parametrize("family", SUPPORTED)
def test_every_family_packs_as_it_reads(family: str) -> None:
    wide = {"sliding_window": 256} if family in ("mistral", "gemma3_text") else {}
    llm = tiny_llm(family, **wide)
    passages = [llm.tokenize(line).ids for line in TEXT.splitlines()]
    packed = question_log_likelihoods(llm, passages, QUESTION)
    for row, passage in zip(packed, passages, strict=True):
        np.testing.assert_allclose(row, plainly(llm, passage), atol=2e-4)


def test_packs_do_not_change_values(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = tiny_llm("llama")
    passages = [llm.tokenize(line).ids for line in TEXT.splitlines() * 3]
    together = question_log_likelihoods(llm, passages, QUESTION)
    for most in (1, 100):
        llm.likelihood_cache.clear()
        monkeypatch.setattr(query_likelihood, "_PACK_TOKENS", most)
        alone = question_log_likelihoods(llm, passages, QUESTION)
        np.testing.assert_allclose(together, alone, atol=2e-4)


@pytest.mark.parametrize("family", SUPPORTED)
def test_questions_share_passes(family: str) -> None:
    """Of unlike lengths, about some of the same passages, and one about nothing."""
    llm = tiny_llm(family)
    passages = [llm.tokenize(line).ids for line in TEXT.splitlines()]
    readings = [
        Reading(passages, QUESTION),
        Reading(passages[:2], "Who?"),
        Reading([], "What is it that nobody wrote a passage about?"),
        Reading(passages[1:], "What did the keeper of the lighthouse write down every evening?"),
    ]
    together = read_together(llm, readings)
    assert llm.likelihood_cache.n_misses == len(passages)  # each was read once
    for reading, values in zip(readings, together, strict=True):
        llm.likelihood_cache.clear()
        alone = question_log_likelihoods(llm, reading.passages, reading.question)
        np.testing.assert_allclose(values, alone, atol=2e-4)


def test_questions_of_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator, where those that wait share passes."""
    llm = tiny_llm("llama")
    monkeypatch.setattr(llm, "_readings", Rounds(most=8))
    passages = [llm.tokenize(line).ids for line in TEXT.splitlines()]
    questions = [QUESTION, "Who?", "Where did it stand, and for whom?"] * 4
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(lambda asked: llm.question_log_likelihoods(passages, asked), questions)
        )
    for question, values in zip(questions, found, strict=True):
        alone = question_log_likelihoods(llm, passages, question)
        np.testing.assert_allclose(values, alone, atol=2e-4)


def test_nothing_to_read() -> None:
    llm = tiny_llm("llama")
    n_asked = len(llm.tokenize(" " + QUESTION).ids)
    assert question_log_likelihoods(llm, [], QUESTION).shape == (0, n_asked)


def test_the_right_passage_is_likelier(llm: TransformersModel) -> None:
    texts = (
        "The lighthouse on Skerry Point was finished in 1887.",
        "Sourdough needs no bought yeast, only flour and water.",
    )
    values = question_log_likelihoods(
        llm,
        [llm.tokenize(text).ids for text in texts],
        "In which year was the lighthouse finished?",
    )
    assert values[0].mean() > values[1].mean() + 0.5
