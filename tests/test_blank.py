"""Blank texts are left out, counted and reported; they stop nobody."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from s3_retriever.readers import read_files
from s3_retriever.validation import BLANK, is_blank
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

BLANKS = {
    "nothing": "",
    "spaces": " \t ",
    "line ends": "\r\n\n\x0b\x0c\x85",
    "separators": "\u2028\u2029",
    "no-break spaces": "\xa0\u202f\u3000",
    "zero width": "\u200b\u200c\u200d",
    "byte order mark": "\ufeff",
    "soft hyphens": "\xad\xad",
    "directions": "\u200e\u202a\u202c\u2066\u2069",
    "fillers": "\u3164\u115f\uffa0\u2800",
    "variation selectors": "\ufe0f\U000e0100",
    "mixed": " \u200b\n\u2060 \ufeff",
}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    llm = tiny_llm()
    return Engine(llm, Profile.load(write_profile(tmp_path, llm)))


@pytest.mark.parametrize("text", BLANKS.values(), ids=BLANKS)
def test_a_blank_text_is_reported(
    engine: Engine, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        report = engine.add([Document("blank", text)])
    assert (dict(report.skipped), report.added) == ({"blank": BLANK}, ())
    assert "blank is left out" in caplog.text
    report = engine.add([Document("blank", text), Document("tower", TEXT)])
    assert (dict(report.skipped), report.added) == ({"blank": BLANK}, ("tower",))
    with pytest.raises(InputError, match="white space"):
        engine.add([Document("blank", text)], on_error="raise")
    assert engine.ids() == ["tower"]
    assert engine.select("What is lit?", [text]) == []


@pytest.mark.parametrize("text", BLANKS.values(), ids=BLANKS)
def test_a_blank_question_is_empty(engine: Engine, text: str) -> None:
    engine.add([Document("tower", TEXT)])
    for asked in (engine.retrieve, lambda q: engine.select(q, [TEXT]), engine.answer):
        with pytest.raises(InputError, match="question is empty"):
            asked(text)


def test_every_blank_counts(engine: Engine) -> None:
    assert list(engine.add(["", " ", ""]).skipped) == ["number 0", "number 1", "number 2"]
    with pytest.raises(InputError, match="binary"):  # another fault is not hidden behind a blank
        engine.add(["", "PK\x00\x00"])


@given(st.text(st.sampled_from("".join(BLANKS.values())), max_size=9), st.characters(codec="ascii"))
def test_one_mark_is_enough(blank: str, character: str) -> None:
    assert is_blank(blank)
    visible = character.isprintable() and character != " "
    assert is_blank(blank + character + blank) == (not visible and character.isspace())


def test_files(tmp_path: Path) -> None:
    for n, text in enumerate(BLANKS.values()):
        (tmp_path / f"{n}.txt").write_bytes(text.encode())
    (tmp_path / "said.txt").write_text("\u200bSomething.")
    read = read_files(tmp_path, root=tmp_path)
    assert [d.id for d in read.documents] == ["said.txt"]
    assert len(read.skipped) == len(BLANKS)
