"""Bounds in plain text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import sentencex
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.spans import widened_to_sentences
from s3_retriever.segmentation import sentences as sentences_module
from s3_retriever.segmentation import units as units_module
from s3_retriever.text import find_bounds, language_of, separate_ideographs, whole_words
from s3_retriever.types import SpanRef, TextBounds
from tests.segmentation.checks import check_bounds

TEXTS = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("aB1. ?!\n\r\t,;\u200d\ufe0f\u0301日本語😀👩🏽"),
    ),
    max_size=300,
)


LINE_ENDS = ["\r\n", "\n", "\r", "\x85", "\u2028", "\x0b", "\x0c", "\x1c"]
BLANKS = ["", " ", "\t", " \t ", "\xa0", "\u3000"]
EMPTY_LINES = st.builds(
    lambda first, more: first + "".join(blank + end for blank, end in more),
    st.sampled_from(LINE_ENDS),
    st.lists(st.tuples(st.sampled_from(BLANKS), st.sampled_from(LINE_ENDS)), min_size=1),
).filter(lambda lines: lines != "\r\n")  # "\r" and "\n" side by side are one line end
SEPARATORS = st.one_of(EMPTY_LINES, st.just("\u2029"))
PIECES = st.lists(
    st.one_of(
        st.sampled_from(["a", "B.", "1. ", " ", "?", "! ", "Mr. ", "...", "日。", "😀", "\u0301"]),
        st.sampled_from(["e\u0301", "\u200d", '"', "'", ") ", "।", "word ", "- "]),
        st.sampled_from([*LINE_ENDS, *BLANKS, "\u2029", "\n\n", "\n \n"]),
    )
).map("".join)
LANGUAGES = st.sampled_from(["en", "de", "zh", "hi", "ar", "ja", "xx", ""])


class OneText:
    """As much of a store as widening asks for."""

    def __init__(self, text: str) -> None:
        self._text, self._bounds = text, find_bounds(text)

    def bounds(self, doc_id: str) -> TextBounds:
        return self._bounds

    def text(self, ref: SpanRef) -> str:
        return self._text[ref.start : ref.end]


def sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return find_bounds(text).sentences_over(start, end)


def sentence_bounds(text: str, start: int, end: int) -> tuple[int, int]:
    widened = widened_to_sentences(OneText(text), SpanRef("a", start, end))
    return widened.start, widened.end


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


@given(PIECES, LANGUAGES)
def test_bounds_of_any_text_in_any_language(text: str, language: str) -> None:
    check_bounds(text, find_bounds(text, language))


@given(TEXTS, st.text(max_size=8))
def test_no_language_code_is_an_error(text: str, language: str) -> None:
    check_bounds(text, find_bounds(text, language))


@pytest.mark.parametrize(
    "language", ["", "x", "EN", "de-AT", "zzz", "../de", "日本", "\0", "a" * 1000]
)
def test_odd_language_codes(language: str) -> None:
    bounds = find_bounds("It came. It went.", language)
    assert bounds.sentences.tolist() == [[0, 8], [9, 17]]


@given(PIECES, LANGUAGES)
def test_bounds_where_everything_is_too_long(text: str, language: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentences_module, "_PIECE", 16)
        for name in ("_LONGEST_SENTENCE", "_LONGEST", "_AIM", "_BLOCK", "_LONGEST_PASSAGE"):
            patch.setattr(units_module, name, 10)
        patch.setattr(units_module, "_PASSAGE", 30)
        check_bounds(text, find_bounds(text, language))


@given(
    st.lists(st.sampled_from(["One.", "Two, three!\nFour", "日本。", "x"]), min_size=1), st.data()
)
def test_paragraphs_stand_between_empty_lines_of_any_kind(
    paragraphs: list[str], data: st.DataObject
) -> None:
    text = data.draw(st.sampled_from(["", "\n", " \r\n\t"]))
    for paragraph in paragraphs:
        text += paragraph + data.draw(SEPARATORS)
    bounds = find_bounds(text)
    assert [text[a:b] for a, b in bounds.paragraphs] == paragraphs


@pytest.mark.parametrize("end", [*LINE_ENDS, "\r\n"])
def test_one_line_end_ends_no_paragraph(end: str) -> None:
    text = f"One line,{end}and the next."
    assert find_bounds(text).paragraphs.tolist() == [[0, len(text)]]


def test_white_space_has_no_bounds() -> None:
    for text in ("", " ", "\r\n \u2029\t"):
        bounds = find_bounds(text)
        assert bounds.sentences.shape == bounds.paragraphs.shape == (0, 2)
        assert bounds.sentences_over(0, len(text)) == []


def test_sentences_end_by_the_rules_of_the_language() -> None:
    text = "Er kam am 3. Mai. Dann ging er."
    assert [text[a:b] for a, b in find_bounds(text, "de").sentences] == [
        "Er kam am 3. Mai.",
        "Dann ging er.",
    ]
    assert len(find_bounds(text, "en").sentences) == 3


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "en"),
        ({"language": "de-AT"}, "de"),
        ({"lang": "ZH_Hant"}, "zh"),
        ({"language": "", "lang": "fr"}, "fr"),
        ({"language": "German"}, "en"),
        ({"language": 7, "lang": None}, "en"),
        ({"language": ["de"]}, "en"),
        ({"language": "../de"}, "en"),
    ],
)
def test_the_language_that_metadata_name(metadata: dict[str, object], language: str) -> None:
    assert language_of(metadata) == language


@pytest.mark.parametrize(
    "unit",
    [
        "word ",
        "Yes. ",
        "A short one. " + "and one without an end " * 700,
        "x",
        "No end, then a dot . ",
        "日本語。",
        "Mr. ",
        "line\n",
        " \n",
    ],
)
def test_every_character_is_looked_at_twice_at_most(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    found = sentencex.get_sentence_boundaries

    def counted(language: str, text: str) -> object:
        nonlocal looked_at
        looked_at += len(text)
        return found(language, text)

    monkeypatch.setattr(sentencex, "get_sentence_boundaries", counted)
    text = unit * (200_000 // len(unit))
    check_bounds(text, find_bounds(text))
    assert looked_at <= 2 * len(text)
