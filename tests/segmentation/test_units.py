"""Units of texts that are no prose."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.segmentation import sentences as sentences_module
from s3_retriever.segmentation import units as units_module
from s3_retriever.segmentation.words import inside_word
from s3_retriever.text import find_bounds
from tests.segmentation.checks import check_bounds

MARKS = [
    '{"a": ',
    '"key": "',
    '", "',
    "'}, {'",
    "}]",
    "[[",
    "\\n\\n",
    "\\\\n",
    "\\",
    '\\"',
    "Ann: ",
    "2026-01-02 03:04:05 INFO ",
    "| a | b |\n",
    "a,b;c\t1\n",
    "1\n00:00:01,000 --> 00:00:02,500\n",
    "    return x\n",
    "key: value\n",
    "- item\n",
    "Some words without an end ",
    "It came. It went! ",
    "x" * 90,
    "e\u0301\u200d",
    "日本語。",
    "\n",
    "\r\n",
    "\n\n",
    " ",
]
STRUCTURED = st.lists(st.sampled_from(MARKS), max_size=60).map("".join)
PROSE = "The harbour froze early that year. Nobody had seen the like of it, they said. "


def units(text: str) -> list[str]:
    return [text[a:b] for a, b in find_bounds(text).sentences]


def paragraphs(text: str) -> list[str]:
    return [text[a:b] for a, b in find_bounds(text).paragraphs]


@given(STRUCTURED)
def test_bounds_of_any_structure(text: str) -> None:
    bounds = find_bounds(text)
    check_bounds(text, bounds)
    for start, end in bounds.sentences.tolist():
        assert end - start <= 600 + 64


@given(STRUCTURED)
def test_bounds_of_any_structure_where_everything_is_too_long(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentences_module, "_PIECE", 64)
        for name in ("_LONGEST_SENTENCE", "_LONGEST", "_AIM", "_GROUP", "_BLOCK"):
            patch.setattr(units_module, name, 20)
        patch.setattr(units_module, "_LONGEST_PASSAGE", 60)
        patch.setattr(units_module, "_PASSAGE", 40)
        check_bounds(text, find_bounds(text))


@given(st.lists(st.sampled_from(["word", "other", "a", "Ort", "été", ",", ";"]), min_size=200))
def test_no_word_is_cut(words: list[str]) -> None:
    text = " ".join(words)
    for start, end in find_bounds(text).sentences.tolist():
        assert not inside_word(text, start)
        assert not inside_word(text, end)
        assert end - start <= 400


def test_a_short_record_is_a_unit() -> None:
    first = {"role": "user", "content": "Where is the lighthouse that burned colza oil? I forgot."}
    second = {"role": "assistant", "content": "On Fyrholmen. It was lit in 1866, and paid by all."}
    text = json.dumps([first, second])
    assert units(text) == ["[" + json.dumps(first) + ",", json.dumps(second) + "]"]
    lines = json.dumps(first) + "\n" + json.dumps(second)
    assert units(lines) == [json.dumps(first), json.dumps(second)]


@pytest.mark.parametrize("quoted", [json.dumps, repr])
def test_a_long_record_is_read_by_its_spelled_out_lines_and_sentences(quoted: object) -> None:
    assert callable(quoted)
    text = quoted([{"content": (PROSE * 4).strip() + "\n\n" + PROSE * 4, "role": "user"}])
    assert len(text) > 450
    found = units(text)
    assert any(unit.startswith("\\n\\nThe harbour") for unit in found)
    assert all(len(unit) <= 300 for unit in found)
    starts = ("[{", "\\n\\n", "The ", "Nobody ")
    assert all(unit.startswith(starts) for unit in found)


def test_a_log_on_one_line_has_paragraphs() -> None:
    text = json.dumps([{"n": n, "content": PROSE * (1 + n % 5)} for n in range(100)])
    found = paragraphs(text)
    assert all(len(paragraph) <= 1300 for paragraph in found)
    assert sum(paragraph.startswith('{"n"') for paragraph in found) > len(found) // 2


def test_a_turn_is_a_unit_with_its_name() -> None:
    turns = [f"Ann: {PROSE}".strip(), "Ben: Who said so? I never heard that, to be honest."] * 2
    assert units("\n".join(turns)) == turns


def test_a_trace_stays_with_its_log_line() -> None:
    first = '2026-04-17 02:10:08 ERROR no reply\n  File "/srv/app.py", line 8\nValueError: 3'
    second = "2026-04-17 02:10:09 INFO  went on with the next of the queue"
    third = "2026-04-17 02:10:10 INFO  stopped. All is well."
    assert units("\n".join([first, second, third])) == [first, second, third]


def test_a_cue_is_a_unit_and_cues_share_a_paragraph() -> None:
    cues = [f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\nLine one.\nLine two!" for n in range(1, 6)]
    assert units("\n\n".join(cues)) == cues
    assert paragraphs("\n\n".join(cues)) == ["\n\n".join(cues)]
    assert units("\n".join(cues)) == cues
    assert len(paragraphs("\n\n".join(cues * 20))) > 3


def test_code_is_cut_where_little_is_indented() -> None:
    parts = [
        f"def height_{n}(hours):\n    angle = speed * hours\n    scaled = angle / {n + 2}\n"
        f"    more = scaled + angle * 3\n    return amplitude * cos(scaled, more)"
        for n in range(4)
    ]
    assert units("\n".join(parts)) == parts


def test_words_without_an_end_are_cut_at_line_ends() -> None:
    lines = ["so we went down to the quay and nobody " + "was there " * n for n in (14, 15, 16, 13)]
    text = "\n".join(line.strip() for line in lines)
    assert len(units(text)) == 3  # what is left at the end, 350 characters, is one
    assert all(unit.startswith("so we went") for unit in units(text))


@pytest.mark.parametrize(
    "text",
    [
        PROSE * 40,
        (PROSE * 40)
        .replace("that year. Nobody", "that\nyear. Nobody")
        .replace("like of", "like\nof"),
        "He said: this is it. She said: no. " * 30,
        "Lines that are wrapped at some forty-odd\ncharacters, as mail was. They mean nothing,\n"
        "and sentences cross them. Nothing else is\nin here, I believe. So it is.",
        'He quoted {"a": 1, "b": 2, "c": 3} there. ' + PROSE * 10,
        "On 2026-04-17 at 02:10 it rained. It was Monday; we slept. " * 10,
    ],
)
def test_prose_is_read_as_sentences_and_left_whole(text: str) -> None:
    text = text.strip()
    at = list(sentences_module.sentence_starts(text, 0, len(text), "en"))
    assert find_bounds(text).sentences[:, 0].tolist() == at
    assert paragraphs(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"role": "user", "content": PROSE + "\n\n" + PROSE * 3}] * 2500),
        "x" * 1_000_000,
        '{"a":' * 200_000,
        '"' * 200_000,
        "\\n" * 100_000,
        "[[" * 100_000,
        '{"a": 1' + " " * 200_000 + "x",
        "a\n" * 100_000,
        "a,b,c\n" * 40_000,
        "|a" * 100_000 + "\n" + "|b" * 100,
        "a" + "\u0301" * 200_000,
        "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n" * 5_000,
    ],
    ids=lambda text: text[:12],
)
def test_large_texts_take_time_in_proportion(text: str) -> None:
    """A pattern or a loop that is quadratic would not end within the suite's timeout."""
    bounds = find_bounds(text)
    assert bounds.sentences[0, 0] == bounds.paragraphs[0, 0] == 0
    assert bounds.sentences[-1, 1] == len(text.rstrip())
