"""Bounds in plain text."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.text import sentence_bounds, sentences, separate_ideographs, whole_words

TEXTS = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("aB1. ?!\n\r\t,;\u200d\ufe0f\u0301日本語😀👩🏽"),
    ),
    max_size=300,
)


def test_whole_words_widens_to_word_bounds() -> None:
    assert whole_words("the cat sat", 5, 9) == (4, 11)
    assert whole_words("the cat sat", 4, 7) == (4, 7)


def test_whole_words_treats_each_ideograph_as_a_word() -> None:
    assert whole_words("東京都に行く", 1, 2) == (1, 2)


def test_whole_words_keeps_marks_with_their_letter() -> None:
    text = "cafe\u0301 x"
    assert whole_words(text, 0, 4) == (0, 5)


def test_whole_words_does_not_run_through_data() -> None:
    start, end = whole_words("x" * 10_000, 5_000, 5_010)
    assert (start, end) == (5_000, 5_010)


def test_sentences_of_prose() -> None:
    text = "Dr. Smith went home. He slept! Did he?\n\nA new paragraph."
    assert [text[a:b] for a, b in sentences(text, 0, len(text))] == [
        "Dr. Smith went home.",
        "He slept!",
        "Did he?",
        "A new paragraph.",
    ]


def test_only_overlapping_sentences() -> None:
    text = "One here. Two there. Three."
    assert sentences(text, 12, 14) == [(10, 20)]
    assert sentences(text, 8, 11) == [(0, 9), (10, 20)]


def test_endless_sentence_is_cut_between_words() -> None:
    text = "word " * 1000
    bounds = sentences(text, 0, len(text))
    assert len(bounds) > 1
    assert all(b - a <= 600 + 64 for a, b in bounds)
    assert all(not (text[a - 1 : a + 1].isalpha()) for a, _ in bounds if a)


def test_sentence_bounds_do_not_cross_an_empty_line() -> None:
    text = "First part\n\nsecond part. Third."
    assert sentence_bounds(text, 14, 16) == (12, 24)


@given(TEXTS, st.data())
def test_bounds_contain_the_range_and_stay_inside(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    low, high = whole_words(text, start, end)
    assert 0 <= low <= start <= end <= high <= len(text)
    low, high = sentence_bounds(text, start, end)
    assert 0 <= low <= high <= len(text)
    assert text[start:end].strip() in text[low:high]


@given(TEXTS)
def test_sentences_cover_everything_but_white_space(text: str) -> None:
    bounds = sentences(text, 0, len(text))
    assert all(a < b for a, b in bounds)
    assert all(b <= c for (_, b), (c, _) in pairwise(bounds))
    left_out = list(text)
    for a, b in bounds:
        left_out[a:b] = [" "] * (b - a)
    assert not "".join(left_out).strip()


def test_ideographs_become_words() -> None:
    assert separate_ideographs("東京 is").split() == ["東", "京", "is"]
