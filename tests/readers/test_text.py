"""Plain text stays exactly as it is, or is left out for a reason that says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.readers import read_files
from s3_retriever.validation import is_blank
from tests.readers.files import read_one, reason

BOM = b"\xef\xbb\xbf"

# any text that is not blank: CRLF, emoji, combining marks, a byte order mark inside
LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
        st.sampled_from(
            ["\r\n", "\n", "\r", "👩🏽‍🚀", "🇩🇪", "e\u0301", "\u2028", "\ufeff", "中文。"]
        ),
    ),
    max_size=20,
)
TEXTS = LINES.map("".join).filter(lambda text: not is_blank(text))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, suffix=st.sampled_from([".txt", ".text", ".md", ".markdown", ".rst"]))
def test_text_behind_a_byte_order_mark_is_kept_exactly(
    tmp_path: Path, text: str, suffix: str
) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(BOM + text.encode())
    assert read_one(path) == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS.filter(lambda t: not t.startswith("\ufeff")))
def test_text_without_one_is_kept_exactly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(text.encode())
    assert read_one(path) == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1))
def test_any_bytes_give_a_document_or_a_reason(tmp_path: Path, data: bytes) -> None:
    for suffix in (".txt", ".html", ".bin"):
        path = tmp_path / f"file{suffix}"
        path.write_bytes(data)
        files = read_files([path])
        assert len(files.documents) + len(files.skipped) == 1


@pytest.mark.parametrize("suffix", [".txt", ".py", ".json"])
@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("windows-1252", "Grüße aus Köln: it’s 5 €"),
        ("windows-1251", "Дома стоят у порта, и все они белые."),
        ("koi8-r", "Дома стоят у порта, и все они белые."),
    ],
)
def test_what_is_no_unicode_is_guessed_and_the_guess_is_told(
    tmp_path: Path, codec: str, text: str, suffix: str
) -> None:
    path = tmp_path / f"old{suffix}"
    path.write_bytes(text.encode(codec))
    files = read_files([path])
    (document,) = files.documents
    assert document.text == text
    assert document.metadata["encoding"] == codec
    assert f"read as {codec}" in files.notes[str(path)]
    assert "iconv" in files.notes[str(path)]


def test_unicode_is_no_guess(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_text("Grüße")
    files = read_files([path])
    assert not files.notes and "encoding" not in files.documents[0].metadata


def test_without_the_package_that_guesses_text_is_refused_with_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    path = tmp_path / "old.txt"
    path.write_bytes("Grüße".encode("latin-1"))
    assert "byte 2 is 0xfc" in reason(path)
    assert "iconv" in reason(path) and "s3-retriever[files]" in reason(path)


@pytest.mark.parametrize("data", [b"\xffa\x01b", b"\xe9t\xe9\x07"])
def test_bytes_with_controls_are_not_guessed_to_be_letters(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(data)
    assert "binary" in reason(path)


@pytest.mark.parametrize(
    ("begin", "what"),
    [(b"PK\x03\x04", "zip"), (b"\x89PNG\r\n", "picture"), (b"\xd0\xcf\x11\xe0", "office")],
)
def test_a_binary_file_says_what_it_looks_like(tmp_path: Path, begin: bytes, what: str) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(begin + b"\x00\x80")
    assert what in reason(path)


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x00\x80", b"plain\x00then not"])
def test_a_binary_file_is_named_as_one(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "program.txt"
    path.write_bytes(data)
    assert "binary" in reason(path)


def test_nothing_and_white_space_are_told_apart(tmp_path: Path) -> None:
    empty, blank = tmp_path / "empty.txt", tmp_path / "blank.txt"
    empty.write_bytes(b"")
    blank.write_bytes(b" \r\n\t")
    assert reason(empty) == "it is empty"
    assert "white space" in reason(blank)


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "Intro.\n\n## The *first* one ##\n\n# Second\n", "The *first* one"),
        ("a.md", "```sh\n# a comment\n```\n# Real\n", "Real"),
        ("a.md", "Over two lines\n==============\n", "Over two lines"),
        ("a.rst", "=====\nGuide\n=====\n\nText.\n", "Guide"),
        ("a.rst", "Guide\n-----\n", "Guide"),
        ("a.txt", "No heading here.\n", "a.txt"),
        ("a.md", "#hashtag\n", "a.md"),
    ],
)
def test_title(tmp_path: Path, name: str, text: str, title: str) -> None:
    (tmp_path / name).write_text(text)
    (document,) = read_files([tmp_path / name]).documents
    assert document.metadata["title"] == title
    assert document.metadata["path"] == str(tmp_path / name)
