"""From collections to heads, with a small random model, and the rules on figures made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.training.calibration.calibration import Calibration, calibrate
from s3_retriever.training.calibration.heads import HeadReader
from s3_retriever.training.calibration.precision import passage_scores, r_precision, token_bounds
from s3_retriever.types import Document
from tests.tiny import tiny_llm, write_profile

PARAGRAPHS = (
    "The lighthouse was finished in 1887.",
    "Sourdough needs no bought yeast.",
    "The comet returns every 41 years.",
)


def asked(*gold: tuple[int, ...]) -> Collection:
    """One context, and a question for each of ``gold`` paragraphs."""
    places, at = [], 0
    for text in PARAGRAPHS:
        places.append(Place("context", at, at + len(text)))
        at += len(text) + 2
    questions = tuple(
        Question(str(n), f"What of {n}?", gold_passages=tuple(places[i] for i in numbers))
        for n, numbers in enumerate(gold)
    )
    document = Document("context", "\n\n".join(PARAGRAPHS))
    return Collection((document,), questions, tuple(places))


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(scope="module")
def profile(tiny: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp("profile")
    return Profile.load(write_profile(folder, tiny, sites=((1, (1,)), (2, (0,)))))


@pytest.mark.usefixtures("one_thread")
def test_every_head_alone_and_the_chosen_ones(tiny: TransformersModel, profile: Profile) -> None:
    collections = [asked((0,), (1, 2)), asked((2,))]
    progress: list[tuple[int, int]] = []
    found = calibrate(
        tiny, profile, collections, n_heads=4, on_progress=lambda *a: progress.append(a)
    )
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert found.chance == pytest.approx((1 / 3 + 2 / 3 + 1 / 3) / 3)
    assert found.alone.shape == (3, 3, 6)

    reader = HeadReader(tiny, profile.card)
    context = reader.read(collections[0].documents[0].text)
    scores = reader.scores(context, "What of 1?")
    scores = passage_scores(scores, token_bounds(context.tokens, collections[0].passages))
    assert np.array_equal(found.alone[1], r_precision(scores, np.array([False, True, True])))

    assert found.coded == ((1, 3), (1, 4), (1, 5), (2, 0), (2, 1), (2, 2))
    mean = found.alone.mean(axis=0)
    chosen = [(h.layer, h.head) for h in found.equal]
    assert chosen == sorted(found.coded, key=lambda at: (-mean[at], at))[:4]
    assert all(h.weight == 1 for h in found.equal)
    assert {(h.layer, h.head) for h in found.learned} <= set(chosen)
    assert np.mean([h.weight for h in found.learned]) == pytest.approx(1, abs=1e-3)


@pytest.mark.usefixtures("one_thread")
def test_questions_that_can_tell_nothing_are_left_out(
    tiny: TransformersModel, profile: Profile
) -> None:
    useless = asked((), (0, 1, 2))
    assert calibrate(tiny, profile, [useless, asked((0,), (1,), ())]).n == 2
    with pytest.raises(InputError, match=r"both gold and other paragraphs: 1; at least 2"):
        calibrate(tiny, profile, [useless, asked((0,))])
    no_passages = Collection(asked((0,)).documents, asked((0,)).questions)
    with pytest.raises(InputError, match="paragraphs: 0"):
        calibrate(tiny, profile, [no_passages])


def by_hand(learned: tuple[float, float] = (0.5, 0.5)) -> Calibration:
    """Heads 0.0 and 1.1 are coded and were chosen in this order."""
    # means: 0.0 has 1, 0.1 has 0.75, 1.0 and 1.1 have 0.5
    alone = [[[1.0, 0.5], [0.0, 0.5]], [[1.0, 1.0], [1.0, 0.5]]]
    unseen = {"best_head": (0.9, 0.7), "equal": (0.5, 0.5), "learned": learned}
    return Calibration(
        alone=np.array(alone),
        chance=0.2,
        coded=((0, 0), (1, 1)),
        unseen={name: np.array(values) for name, values in unseen.items()},
        equal=(Head(layer=0, head=0), Head(layer=1, head=1)),
        learned=(Head(layer=0, head=0, weight=2.0),),
    )


def test_learned_weights_are_taken_only_where_they_win() -> None:
    wins, level, once = by_hand((0.6, 0.7)), by_hand((0.5, 0.5)), by_hand((0.9, 0.5))
    assert (wins.weighting, wins.heads) == ("learned", wins.learned)
    for other in (level, once):  # a lead on one of two questions is within the interval
        assert (other.weighting, other.heads) == ("equal", other.equal)
    assert once.lead == pytest.approx({"mean": 0.2, "low": 0, "high": 0.4})


def test_of_equal_heads_the_coded_one_stands_first() -> None:
    found = by_hand()
    assert found.ranking == [(0, 0), (0, 1), (1, 1), (1, 0)]
    assert found.precision((0, 1))["mean"] == 0.75
    assert found.n == 2


def test_better_heads_that_are_not_coded() -> None:
    found = by_hand()
    better = found.better_uncoded(4)
    assert list(better) == [(0, 1)]  # 1.0 is level with the weakest that was chosen
    assert better[0, 1]["mean"] == 0.25  # 0.5 - 0.5 and 1.0 - 0.5
    assert (better[0, 1]["low"], better[0, 1]["high"]) == (0, 0.5)
    assert found.better_uncoded(1) == {}


def test_record() -> None:
    record = by_hand((0.6, 0.7)).record()
    assert record["n"] == 2
    assert [(h["layer"], h["head"]) for h in record["ranking"]] == [(0, 0), (0, 1), (1, 1), (1, 0)]
    assert [h["coded"] for h in record["ranking"]] == [True, False, True, False]
    assert record["ranking"][0]["r_precision"] == {"mean": 1, "low": 1, "high": 1}
    assert record["weighting"] == "learned"
    assert record["heads"] == record["learned"] == [{"layer": 0, "head": 0, "weight": 2.0}]
    assert record["cross_validated"]["best_head"] == {"mean": 0.8, "low": 0.7, "high": 0.9}
    assert record["learned_less_equal"]["mean"] == pytest.approx(0.15)
