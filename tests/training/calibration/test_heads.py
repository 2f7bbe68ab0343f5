"""Scores of single heads, against the definition computed with transformers alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from s3_retriever.errors import InputError, ProfileError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings, ScoringSettings
from s3_retriever.training.calibration.heads import HeadReader
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "When was it finished?"


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(scope="module")
def profile(tiny: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile.load(write_profile(tmp_path_factory.mktemp("profile"), tiny))


def projections(model: Any, ids: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Queries and keys of each layer before the rotary embedding: ``(n_tokens, heads, dim)``."""
    with torch.inference_mode():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        found = []
        for layer, entering in zip(model.model.layers, states[:-1], strict=True):
            hidden = layer.input_layernorm(entering)[0]
            q, k = layer.self_attn.q_proj(hidden), layer.self_attn.k_proj(hidden)
            found.append((q.unflatten(-1, (6, 10)).numpy(), k.unflatten(-1, (2, 10)).numpy()))
    return found


def expected(tiny: TransformersModel, chunk: int, null: str | None) -> np.ndarray:
    """``(3, 6, n_tokens)`` with loops."""

    def tokens(text: str) -> list[int]:
        return tiny.tokenize(text).ids.tolist()

    context, prefix = tokens(TEXT), tokens("Document:\n")
    keys: list[list[np.ndarray]] = [[], [], []]
    for start in range(0, len(context), chunk):
        read = projections(tiny.model, prefix + context[start : start + chunk])
        for layer in range(3):
            keys[layer] += list(read[layer][1][len(prefix) :])
    total = np.zeros((3, 6, len(context)))
    for sign, asked in ((1, QUESTION), (-1, null)):
        if asked is None:
            continue
        first, second = tokens(f"Question: {asked}\n"), tokens(f"Question: {asked}\nAnswer:")
        read = projections(tiny.model, first + second)
        for layer in range(3):
            for query in read[layer][0][len(first) :]:  # the second copy only
                for head in range(6):
                    logits = [query[head] @ key[head // 3] / math.sqrt(10) for key in keys[layer]]
                    weights = np.exp(np.array(logits) - max(logits))
                    total[layer, head] += sign * weights / weights.sum() / len(second)
    return total * len(context)


@pytest.mark.parametrize(("chunk", "null"), [(2048, "N/A"), (16, "N/A"), (2048, None)])
def test_scores_are_shares_of_exact_attention(
    tiny: TransformersModel, profile: Profile, chunk: int, null: str | None
) -> None:
    scan, scoring = ScanSettings(chunk_tokens=chunk), ScoringSettings(null_question=null)
    reader = HeadReader(tiny, profile.card, scan, scoring)
    scores = reader.scores(reader.read(TEXT), QUESTION)
    by_hand = expected(tiny, chunk, null)
    assert scores.shape == by_hand.shape
    assert np.allclose(scores, by_hand, atol=2e-4)
    assert np.abs(scores).max() > 0.5


def test_the_profile_decides_how_questions_are_put(
    tiny: TransformersModel, profile: Profile
) -> None:
    card = profile.card.model_copy(update={"question_prompt": ("{question}", "Why {question}")})
    context = HeadReader(tiny, profile.card).read(TEXT)
    usual = HeadReader(tiny, profile.card).scores(context, QUESTION)
    other = HeadReader(tiny, card).scores(context, QUESTION)
    assert not np.allclose(usual, other, atol=0.01)


def test_what_cannot_be_read(tiny: TransformersModel, profile: Profile) -> None:
    reader = HeadReader(tiny, profile.card)
    with pytest.raises(InputError, match="the question is empty"):
        reader.scores(reader.read(TEXT), "  ")
    long = profile.card.model_copy(update={"chunk_prefix": "Document " * 200})
    with pytest.raises(ProfileError, match="fills the model's whole window"):
        HeadReader(tiny, long)
