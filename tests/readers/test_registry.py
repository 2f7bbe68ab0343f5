"""Formats come and go by suffix; a format whose library is missing says what to install."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_retriever.readers import (
    Content,
    Reader,
    UnreadableError,
    read_files,
    register_reader,
    registry,
    suffixes,
)
from tests.readers.files import pdf_bytes, reason


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_READERS", dict(registry._READERS))
    yield


def upper(data: bytes) -> Content:
    if data == b"bad":
        raise UnreadableError("it is bad; make it good")
    return Content(data.decode().upper(), "A title")


def test_the_formats_that_come_with_the_package() -> None:
    some = (
        ".txt .text .md .markdown .rst .html .htm .pdf .docx .pptx .epub .eml .csv .tsv .json .py"
    )
    assert set(some.split()) < set(suffixes())
    assert len(suffixes()) == len(set(suffixes()))


def test_a_reader_from_outside(tmp_path: Path) -> None:
    (tmp_path / "a.Shout").write_text("hello")
    (tmp_path / "b.shout").write_text("bad")
    assert len(read_files([tmp_path]).passed_over) == 2
    register_reader(Reader((".shout",), upper))
    files = read_files([tmp_path], root=tmp_path)
    (document,) = files.documents
    assert (document.id, document.text) == ("a.Shout", "HELLO")
    assert document.metadata["title"] == "A title"
    assert dict(files.skipped) == {str(tmp_path / "b.shout"): "it is bad; make it good"}


def test_a_reader_may_take_anothers_place(tmp_path: Path) -> None:
    register_reader(Reader((".txt",), upper))
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.md").write_text("hello")
    assert [d.text for d in read_files([tmp_path]).documents] == ["hello", "HELLO"]


def test_how_a_file_begins_counts_more_than_its_name(tmp_path: Path) -> None:
    register_reader(Reader((".shout",), upper, magic=b"!!"))
    (tmp_path / "a.txt").write_text("!!hello")
    assert read_files([tmp_path]).documents[0].text == "!!HELLO"


@pytest.mark.parametrize("suffix", ["shout", ".SHOUT", ""])
def test_a_suffix_that_no_file_would_match(suffix: str) -> None:
    with pytest.raises(ValueError, match="lower case"):
        register_reader(Reader((suffix,), upper))


@pytest.mark.parametrize(
    ("name", "data", "package"),
    [
        ("a.html", b"<p>Text.", "bs4"),
        ("a.pdf", pdf_bytes("Text."), "pypdfium2"),
        ("a.docx", b"PK", "docx"),
        ("a.pptx", b"PK", "pptx"),
        ("a.eml", b"Subject: a\nContent-Type: text/html\n\n<p>Text.", "bs4"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(data)
    assert f'the package {package}: pip install "s3-retriever[files]"' in reason(tmp_path / name)


def test_the_libraries_are_loaded_for_the_first_file_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    code = (
        "import sys; from s3_retriever.readers import read_files; "
        f"print(len(read_files([{str(tmp_path)!r}]).documents), "
        "*sorted({'bs4', 'pypdfium2', 'torch', 'lxml', 'docx', 'pptx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
