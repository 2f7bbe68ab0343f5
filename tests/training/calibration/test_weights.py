"""Heads and weights on questions made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever.training.calibration.precision import ScoredQuestion
from s3_retriever.training.calibration.weights import (
    best_heads,
    cross_validate,
    equal_weights,
    learned_weights,
    logistic,
)

GOLD = np.array([True, False, False, False])


def question(*heads: list[float]) -> ScoredQuestion:
    """Four passages of one token each, the first one gold."""
    return ScoredQuestion(np.array(heads, dtype=float), [(n, n + 1) for n in range(4)], GOLD)


RIGHT, WRONG = [1.0, 0, 0, 0], [0, 1.0, 0, 0]


def noisy(seed: int, strengths: list[float], n: int = 40) -> list[ScoredQuestion]:
    """Questions on which head h adds ``strengths[h]`` to gold in noise of 1."""
    rng = np.random.default_rng(seed)
    return [
        question(*(rng.normal(size=4) + strength * GOLD for strength in strengths))
        for _ in range(n)
    ]


# Logistic regression


def test_the_gradient_is_zero_at_the_optimum() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = x @ [1.0, -2.0, 0.0] + rng.normal(size=80) > 0.5
    weights, bias = logistic(x, y, l2=0.7)
    p = 1 / (1 + np.exp(-(x @ weights + bias)))
    assert np.allclose(x.T @ (p - y) + 0.7 * weights, 0, atol=1e-7)
    assert (p - y).sum() == pytest.approx(0, abs=1e-7)  # the bias is not penalised
    assert weights[0] > 0.3
    assert weights[1] < -0.6
    assert bias < 0


def test_separable_data_have_finite_weights() -> None:
    x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    y = np.array([0, 0, 1, 1])
    weak, bias = logistic(x, y, l2=0.01)
    strong, _ = logistic(x, y, l2=10.0)
    assert 1 < weak[0] < 20
    assert 0 < strong[0] < weak[0]
    assert bias == pytest.approx(0, abs=1e-8)
    tiny, _ = logistic(x * 1000, y, l2=1e-6)  # where Newton's step goes too far
    assert np.isfinite(tiny).all()
    assert tiny[0] > 0


def test_the_bias_is_the_base_rate_where_features_say_nothing() -> None:
    weights, bias = logistic(np.zeros((4, 1)), GOLD)
    assert weights[0] == 0
    assert bias == pytest.approx(np.log(1 / 3))


# Choice and weights


def test_best_heads_are_ranked_by_mean_precision() -> None:
    questions = [question(WRONG, RIGHT, WRONG), question(WRONG, RIGHT, RIGHT)]
    assert best_heads(questions, 2).tolist() == [1, 2]
    assert best_heads(questions, 9).tolist() == [1, 2, 0]
    assert best_heads([question(WRONG, RIGHT, RIGHT)], 3).tolist() == [1, 2, 0]  # ties: in order


def test_equal_weights() -> None:
    assert equal_weights(4, [3, 1]).tolist() == [0, 1, 0, 1]


def test_the_more_a_head_knows_the_more_it_counts() -> None:
    weights = learned_weights(noisy(0, [2.0, 0.7, -1.0]), np.array([0, 1, 2]))
    assert weights[0] > weights[1] > 0
    assert weights[2] == 0  # would count against a passage
    assert weights[:2].mean() == pytest.approx(1)


def test_only_the_chosen_heads_count() -> None:
    weights = learned_weights(noisy(0, [2.0, 1.0, 2.0]), np.array([2, 1]))
    assert weights[0] == 0
    assert weights[2] > weights[1] > 0


def test_weights_are_for_scores_as_they_are() -> None:
    questions = noisy(1, [2.0, 1.0])
    louder = [ScoredQuestion(q.tokens * [[1], [10]], q.bounds, q.gold) for q in questions]
    chosen = np.array([0, 1])
    before, after = learned_weights(questions, chosen), learned_weights(louder, chosen)
    assert after[0] / after[1] == pytest.approx(10 * before[0] / before[1], rel=1e-6)
    assert [q.together(before) for q in questions] == [q.together(after) for q in louder]


def test_one_head_has_weight_one_whatever_it_is_worth() -> None:
    flat = [question([3.0, 3, 3, 3]), question([3.0, 3, 3, 3])]
    for questions in (noisy(0, [-2.0]), flat):
        assert learned_weights(questions, np.array([0])).tolist() == [1]
    both_bad = learned_weights(noisy(0, [-2.0, -1.0]), np.array([0, 1]))
    assert both_bad.tolist() == [0, 1]


# Cross-validation


def test_nothing_is_chosen_on_the_questions_it_is_measured_on() -> None:
    first_half = set(np.random.default_rng(7).permutation(6)[:3].tolist())
    questions = [
        question(RIGHT, WRONG) if n in first_half else question(WRONG, RIGHT) for n in range(6)
    ]
    found = cross_validate(questions, 1, seed=7)
    assert {name: values.tolist() for name, values in found.items()} == {
        name: [0.0] * 6 for name in ("best_head", "equal", "learned")
    }


def test_each_question_has_its_own_figure() -> None:
    good = [question(RIGHT, [0.0, 0, 0.1, 0]) for _ in range(5)]
    bad = question(WRONG, [0.0, 0, 0.1, 0])
    found = cross_validate([*good, bad], 1, seed=0)
    for values in found.values():
        assert values.tolist() == [1, 1, 1, 1, 1, 0]


def test_learned_weights_win_where_one_head_shouts() -> None:
    questions = [
        ScoredQuestion(q.tokens * [[1], [30]], q.bounds, q.gold) for q in noisy(3, [3.0, 0.5])
    ]
    found = cross_validate(questions, 2, seed=0)
    assert found["learned"].mean() > found["equal"].mean() + 0.2
