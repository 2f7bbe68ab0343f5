"""Questions that a model writes, what it teaches, and the adapter that learns it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.training.calibration.distillation import distill
from s3_retriever.training.calibration.distillation_examples import (
    DistillationExample,
    distillation_examples,
)
from s3_retriever.training.calibration.written_questions import written_questions
from tests.tiny import tiny_llm, write_profile
from tests.training.calibration.test_calibration import asked

HEADS = (Head(layer=1, head=3), Head(layer=2, head=0))
N_TOKENS = 12


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(scope="module")
def profile(tiny: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp("profile")
    found = Profile.load(write_profile(folder, tiny, sites=((1, (1,)), (2, (0,)))))
    return Profile(found.card.model_copy(update={"heads": HEADS}), found.saes)


def test_examples_of_a_context(tiny: TransformersModel, profile: Profile) -> None:
    done: list[int] = []
    examples = distillation_examples(tiny, profile, [asked((0,), (1, 2))], on_question=done.append)
    assert done == [1, 2]
    for example, gold in zip(examples, ([1, 0, 0], [0, 1, 1]), strict=True):
        assert example.gold.tolist() == [bool(g) for g in gold]
        assert example.gains.shape == (3,)
        assert example.gains.max() > 0
        assert example.ids.shape == example.activations.shape == (example.bounds[-1][1], 2, 4)


def made_up(profile: Profile, n: int) -> list[DistillationExample]:
    """The passage that matters is the one whose latent the question's first queries name."""
    rng = np.random.default_rng(0)
    examples = []
    for _ in range(n):
        gold = int(rng.integers(3))
        ids = rng.integers(0, 32, (N_TOKENS, 2, 4))
        ids[4 * gold : 4 * gold + 4] += 32  # the upper latents stand for what is sought
        queries = {layer: torch.from_numpy(rng.normal(size=(3, 6, 10))).float() for layer in (1, 2)}
        examples.append(
            DistillationExample(
                ProjectedQuestion("?", queries),
                ids.astype(np.uint16),
                rng.integers(100, 255, ids.shape).astype(np.uint8),
                [(0, 4), (4, 8), (8, 12)],
                np.eye(3, dtype=np.float32)[gold],
                np.eye(3, dtype=bool)[gold],
            )
        )
    return examples


def test_the_student_learns_what_is_there_to_learn(
    tiny: TransformersModel, profile: Profile
) -> None:
    found = distill(profile, tiny.layout, made_up(profile, 80), None)
    assert len(found.before) == len(found.reported) == 10
    assert found.losses[found.epoch] == min(found.losses)
    assert found.losses[found.epoch] < found.losses[0] - 0.05
    assert found.after.mean() > found.before.mean()
    assert found.teacher.mean() == 1.0
    record = found.record()
    assert record["n_held_out"] == 20
    assert record["r_precision"]["teacher"]["mean"] == 1.0
    assert not any(t.requires_grad for t in vars(found.adapter).values())


def test_the_questions_that_choose_the_epoch_are_not_those_that_are_reported(
    tiny: TransformersModel, profile: Profile
) -> None:
    examples = made_up(profile, 24)
    found = distill(profile, tiny.layout, examples, None)
    assert not set(found.choosing) & set(found.reported)
    # whatever the reported questions are like, the same adapter is made and kept
    changed = list(examples)
    for number in found.reported:
        gains, gold = 1 - examples[number].gains, ~examples[number].gold
        changed[number] = replace(examples[number], gains=gains, gold=gold)
    other = distill(profile, tiny.layout, changed, None)
    assert (other.losses, other.epoch) == (found.losses, found.epoch)
    assert all(map(torch.equal, vars(other.adapter).values(), vars(found.adapter).values()))
    assert other.before.tolist() != found.before.tolist()
    # and whatever those that choose are like, the others are reported
    changed = list(examples)
    for number in found.choosing:
        gains, gold = 1 - examples[number].gains, ~examples[number].gold
        changed[number] = replace(examples[number], gains=gains, gold=gold)
    other = distill(profile, tiny.layout, changed, None)
    assert other.losses != found.losses
    assert other.before.tolist() == found.before.tolist()


def test_too_few_examples(tiny: TransformersModel, profile: Profile) -> None:
    with pytest.raises(InputError, match="questions to learn from: 3; at least 8"):
        distill(profile, tiny.layout, made_up(profile, 3), None)


def test_the_model_writes_questions(llm: TransformersModel) -> None:
    folder = Path(__file__).parents[3] / "s3_retriever" / "data" / "samples"
    texts = [(folder / f"{name}.txt").read_text("utf-8") for name in ("geology", "pharmacy")]
    progress: list[tuple[int, int]] = []
    found = written_questions(
        llm, texts, limit=3, seed=0, on_question=lambda *a: progress.append(a)
    )
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert found
    for collection in found:
        (question,) = collection.questions
        assert question.text.endswith("?")
        assert "\n" not in question.text
        assert len(collection.passages) == 10
        assert set(question.gold_passages) < set(collection.passages)
    again = written_questions(llm, texts, limit=3, seed=0)
    assert [c.questions[0].text for c in again] == [c.questions[0].text for c in found]


def test_too_little_text(llm: TransformersModel) -> None:
    with pytest.raises(InputError, match="paragraphs of at least three sentences in the text: 1"):
        written_questions(llm, ["One. Two is here. Three."], limit=None, seed=0)
