"""Passage scores, R-precision and its chance level, by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from s3_retriever.labels.collections import Place
from s3_retriever.training.calibration.precision import (
    ScoredQuestion,
    chance_level,
    passage_scores,
    r_precision,
    token_bounds,
)
from s3_retriever.types import Tokens


def gold(*numbers: int, n: int) -> np.ndarray:
    return np.isin(np.arange(n), numbers)


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([5, 4, 3, 2], 0.5),  # 0 and 1 stand first; 0 and 2 are gold
        ([5, 1, 4, 2], 1.0),
        ([1, 5, 2, 4], 0.0),
        ([3, 3, 3, 3], 0.5),  # ties: the earlier stand first
    ],
)
def test_r_precision(scores: list[float], found: float) -> None:
    assert r_precision(np.array(scores), gold(0, 2, n=4)) == found


def test_r_precision_of_many_heads_at_once() -> None:
    scores = np.array([[[9, 1, 0], [0, 1, 9]], [[1, 9, 0], [2, 1, 0]]])  # (2, 2, 3)
    assert r_precision(scores, gold(0, n=3)).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("numbers", [(0,), (1, 3), (0, 1, 2)])
def test_chance_level_is_the_mean_over_all_orders(numbers: tuple[int, ...]) -> None:
    labels = gold(*numbers, n=4)
    orders = [r_precision(np.array(order), labels) for order in permutations(range(4))]
    assert chance_level(labels) == pytest.approx(np.mean(orders))


def test_a_passage_is_its_eight_best_tokens() -> None:
    scores = np.array([100, *range(10), -4, 6, 7], dtype=float)
    # the 8 best of 0..9 are 2..9; (-4, 6, 7) has fewer than 8; then a passage without tokens
    bounds = [(1, 11), (11, 14), (14, 14), (0, 1)]
    assert passage_scores(scores, bounds).tolist() == [5.5, 3.0, 0.0, 100.0]
    assert passage_scores(np.stack([scores, -scores]), bounds)[1].tolist() == [-3.5, -3, 0, -100]


def test_heads_are_added_token_by_token() -> None:
    # alone each head has passage 0 first (9 best of few); together their best tokens of passage 1
    # coincide, those of passage 0 cancel
    first = np.array([9, -9, 3, 0.0])
    second = np.array([-9, 9, 3, 0.0])
    tokens = np.stack([np.repeat(first, 8), np.repeat(second, 8)])
    question = ScoredQuestion(tokens, [(0, 16), (16, 32)], gold(1, n=2))
    assert question.passages.tolist() == [[9, 3], [9, 3]]
    assert question.alone.tolist() == [0, 0]
    assert question.together(np.array([1.0, 1.0])) == 1  # 0 against 6
    assert question.together(np.array([1.0, 0.0])) == 0


def test_token_bounds() -> None:
    #       "One two." "\n\n" "Three."    tokens: One, _two, ., \n\nT, hree, .
    starts, ends = [0, 3, 7, 8, 11, 15], [3, 7, 8, 11, 15, 16]
    tokens = Tokens(np.zeros(6, np.int32), np.array(starts, np.uint32), np.array(ends, np.uint32))
    places = [Place("d", 0, 8), Place("d", 10, 16), Place("d", 4, 5), Place("d", 8, 11)]
    assert token_bounds(tokens, places) == [(0, 3), (3, 6), (1, 2), (3, 4)]
