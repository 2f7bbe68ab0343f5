"""No cut is inside what a reader sees as one letter."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.retrieval.spans import widened_to_words
from s3_retriever.segmentation.words import (
    LONGEST_FLAGS,
    fitting_end,
    inside_cluster,
    inside_word,
    whole_words,
)
from s3_retriever.text import find_bounds
from s3_retriever.types import SpanRef
from tests.test_text import OneText

CLUSTERS = {
    "vowel signs": "हि",
    "conjuncts": "क्ष",
    "tamil": "கொ",
    "thai marks": "น้ำ",
    "skin tone": "👍🏽",
    "flag": "🇩🇪",
    "subdivision flag": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "keycap": "1\ufe0f\u20e3",
    "family": "👩\u200d👩\u200d👧\u200d👦",
    "astronaut": "👩🏽\u200d🚀",
    "accents": "e\u0301\u0323",
    "hangul jamo": "\u1112\u1161\u11ab",
    "variant": "葛\U000e0100",
    "presentation": "❤\ufe0f",
    "niqqud": "שׁ\u05b8",
}
MIXED = st.lists(st.sampled_from([*CLUSTERS.values(), "a", " ", ". ", "\r\n", "日", "x1"])).map(
    "".join
)


def bounds_of(text: str) -> set[int]:
    return {0, *(m.end() for m in regex.finditer(r"\X", text))}


@given(MIXED)
def test_bounds_are_those_of_unicode(text: str) -> None:
    bounds = bounds_of(text)
    for at in range(len(text) + 1):
        assert inside_cluster(text, at) == (at not in bounds)
        assert not (inside_cluster(text, at) and not inside_word(text, at))


@given(MIXED, st.integers(0, 60), st.integers(0, 60))
def test_no_range_of_words_cuts_one(text: str, start: int, end: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    low, high = whole_words(text, start, end)
    assert {low, high} <= bounds_of(text)
    assert low <= start <= end <= high


@pytest.mark.parametrize("between", ["", " ", "x", ", "])
@pytest.mark.parametrize("name", CLUSTERS)
def test_units_of_a_long_text_cut_none(name: str, between: str) -> None:
    text = (CLUSTERS[name] + between) * 700
    bounds = bounds_of(text)
    for start, end in find_bounds(text).sentences.tolist():
        assert {start, end} <= bounds


@pytest.mark.parametrize("name", CLUSTERS)
def test_what_is_cut_to_a_budget_cuts_none(name: str) -> None:
    letter = CLUSTERS[name]
    for text in (letter * 200, f"word {letter}x and {letter} {letter * 90}", letter):
        bounds = bounds_of(text)
        for most in range(min(len(text), 150) + 1):
            assert fitting_end(text, most) in bounds
            assert fitting_end(text, most) <= most


@pytest.mark.parametrize("name", CLUSTERS)
@pytest.mark.parametrize("lead", ["", "x ", "word " * 50])
def test_a_range_of_tokens_is_widened_to_whole_letters(name: str, lead: str) -> None:
    text = lead + CLUSTERS[name] * 301
    bounds = bounds_of(text)
    for start in range(len(lead), len(text), 37):
        found = widened_to_words(OneText(text), SpanRef("a", start, start + 5))
        assert {found.start, found.end} <= bounds


def test_the_first_letter_that_does_not_fit_is_left_out_whole() -> None:
    assert fitting_end("👩🏽\u200d🚀 lands", 3) == 0
    assert fitting_end("👩🏽\u200d🚀 lands", 6) == 4


@pytest.mark.parametrize(
    "word",
    [
        "हिन्दी",
        "cafe\u0301s",
        "co\u00adoperate",
        "می\u200cخواهم",
        "שָׁלוֹם",
        "น้ำแข็ง",
        "e\u0301te\u0301",
    ],
)
def test_marks_and_soft_hyphens_part_no_word(word: str) -> None:
    text = f"a {word} b"
    for at in range(2, 2 + len(word)):
        assert whole_words(text, at, at + 1) == (2, 2 + len(word))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["e\u0301", "क्ष", "🇩🇪"]), st.integers(100, 140), st.integers(0, 20))
def test_data_is_cut_between_letters(letter: str, count: int, skip: int) -> None:
    text = letter * count
    start, end = whole_words(text, 100 + skip, 101 + skip)
    assert {start, end} <= bounds_of(text)


@pytest.mark.parametrize("more", [0, 1, 2, 3, 4, 5])
def test_what_is_far_away_decides_nothing(more: int) -> None:
    """Else a file of nothing but flags is read again for each of its letters."""
    text = "a" + "\U0001f1e9" * (LONGEST_FLAGS + 200 + more)
    for at in range(len(text) - 6, len(text)):
        first = at - LONGEST_FLAGS - 70
        assert inside_cluster(text, at) == inside_cluster(text[first:], at - first)
    # a row that people write is whole
    assert [inside_cluster("\U0001f1e9\U0001f1ea" * 500, at) for at in (997, 998)] == [True, False]
