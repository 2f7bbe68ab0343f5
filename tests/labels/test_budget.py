"""One rule fills every budget; here a token is a word."""

from __future__ import annotations

import pytest

from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.types import Document

COLLECTION = Collection((Document("d", "a b c d e f g h i j"), Document("long", "abcdef gh")), ())
FIVE, THREE, TWO = Place("d", 0, 9), Place("d", 10, 15), Place("d", 16, 19)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (10, [FIVE, THREE, TWO]),
        (9, [FIVE, THREE]),
        (7, [FIVE, TWO]),  # three do not fit any more, two do
        (6, [FIVE]),
        (4, [Place("d", 0, 7)]),  # not even the first fits: cut after the fourth word
        (1, [Place("d", 0, 1)]),
    ],
)
def test_places_are_taken_in_order_while_they_fit(budget: int, expected: list[Place]) -> None:
    filler = BudgetFiller(COLLECTION, lambda text: len(text.split()))
    assert filler.fill([FIVE, THREE, TWO], budget) == expected


def test_a_word_that_alone_is_too_long_is_cut() -> None:
    filler = BudgetFiller(COLLECTION, len)
    assert filler.fill([Place("long", 0, 9)], 8) == [Place("long", 0, 6)]
    assert filler.fill([Place("long", 0, 9)], 4) == [Place("long", 0, 4)]


def test_nothing_empty_is_taken() -> None:
    filler = BudgetFiller(COLLECTION, len)
    assert filler.fill([Place("d", 3, 3), TWO], 5) == [TWO]
    assert filler.fill([], 5) == []
