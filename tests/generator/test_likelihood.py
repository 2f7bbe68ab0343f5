"""Packed questions against one plain forward pass each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s3_retriever.generator import likelihood
from s3_retriever.generator.families import SUPPORTED
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.likelihood import PassageView, question_log_likelihoods

from ..tiny import TEXT, tiny_generator

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "When did the lamp burn?"


def plainly(generator: Generator, passage: np.ndarray, question: str) -> np.ndarray:
    """Log-probability of the question's tokens after one passage, by the model's own call."""
    head = generator.prefix_ids("Passage: ", bos=generator.adds_bos)
    asked = generator.tokenize(" " + question).ids
    ids = np.concatenate([head, passage, generator.tokenize("\nQuestion:").ids, asked])
    tokens = torch.from_numpy(ids.astype(np.int64))
    with torch.inference_mode():
        logits = generator.model(tokens[None]).logits[0].float().log_softmax(-1)
    first = len(ids) - len(asked)
    return logits[range(first - 1, len(ids) - 1), tokens[first:]].numpy()


@pytest.mark.parametrize("family", SUPPORTED)
def test_every_family_packs_as_it_reads(family: str) -> None:
    wide = {"sliding_window": 256} if family in ("mistral", "gemma3_text") else {}
    generator = tiny_generator(family, **wide)
    first, second = (generator.tokenize(line).ids for line in TEXT.splitlines())
    views = (((0, len(first)),), ((0, 12),))
    packed = question_log_likelihoods(
        generator,
        [PassageView(first, views), PassageView(second, (((0, len(second)),),))],
        QUESTION,
    )
    assert [rows.shape[0] for rows in packed] == [2, 1]
    np.testing.assert_allclose(packed[0][0], plainly(generator, first, QUESTION), atol=2e-4)
    np.testing.assert_allclose(packed[1][0], plainly(generator, second, QUESTION), atol=2e-4)
    assert np.abs(packed[0][1] - packed[0][0]).max() > 1e-3  # the view hides something


def test_packs_do_not_change_values(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tiny_generator("llama")
    passages = [
        PassageView(ids, (((0, len(ids)),), ((2, 5), (7, 9))))
        for ids in (generator.tokenize(line).ids for line in TEXT.splitlines() * 3)
    ]
    together = question_log_likelihoods(generator, passages, QUESTION)
    monkeypatch.setattr(likelihood, "_PACK_TOKENS", 1)
    alone = question_log_likelihoods(generator, passages, QUESTION)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_a_view_sees_only_its_range() -> None:
    """Later tokens of the passage may change; a copy that does not see them stays as it was."""
    generator = tiny_generator("llama")
    ids = generator.tokenize(TEXT.splitlines()[0]).ids
    changed = ids.copy()
    changed[-3:] = ids[:3]
    view = (((0, 8),),)
    one, other = question_log_likelihoods(
        generator, [PassageView(ids, view), PassageView(changed, view)], QUESTION
    )
    np.testing.assert_allclose(one, other, atol=2e-4)


def test_the_right_passage_is_likelier(generator: Generator) -> None:
    texts = (
        "The lighthouse on Skerry Point was finished in 1887.",
        "Sourdough needs no bought yeast, only flour and water.",
    )
    ids = [generator.tokenize(text).ids for text in texts]
    values = question_log_likelihoods(
        generator,
        [PassageView(one, (((0, len(one)),),)) for one in ids],
        "In which year was the lighthouse finished?",
    )
    assert values[0].mean() > values[1].mean() + 0.5
