"""One file that cannot be read is left out with a reason; the others are read all the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s3_retriever.readers import Content, Reader, read_files, register_reader
from s3_retriever.readers.registry import _READERS


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("this file system knows no file of a terabyte")


def broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system knows no pipes")
    os.mkfifo(path)


BAD: dict[str, Callable[[Path], object]] = {
    "a sparse terabyte": sparse,
    "a link to nowhere": broken_link,
    "a link to itself": link_to_itself,
    "a pipe": pipe,
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "short UTF-16": lambda path: path.write_bytes(b"\xff\xfea"),
}


SUFFIXES = [
    ".txt",
    ".html",
    ".pdf",
    ".md",
    ".docx",
    ".pptx",
    ".epub",
    ".eml",
    ".csv",
    ".json",
    ".py",
]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_among_good_ones(tmp_path: Path, kind: str, suffix: str) -> None:
    (tmp_path / "a.txt").write_text("The first.")
    BAD[kind](tmp_path / f"b{suffix}")
    (tmp_path / "c.txt").write_text("The last.")
    for paths in ([tmp_path], [tmp_path / "a.txt", tmp_path / f"b{suffix}", tmp_path / "c.txt"]):
        files = read_files(paths)
        assert [d.text for d in files.documents] == ["The first.", "The last."]
        assert set(files.skipped) <= {str(tmp_path / f"b{suffix}")}


ERRORS = [
    ValueError("x"),
    KeyError("x"),
    MemoryError(),
    RecursionError(),
    RuntimeError("x"),
    OSError(5, "x"),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "x"),
]


@pytest.fixture(params=ERRORS, ids=lambda e: type(e).__name__)
def failing(request: pytest.FixtureRequest) -> Iterator[str]:
    def fail(data: bytes) -> Content:
        raise request.param

    register_reader(Reader((".odd",), fail))
    yield type(request.param).__name__
    del _READERS[".odd"]


def test_a_reader_that_fails(tmp_path: Path, failing: str) -> None:
    (tmp_path / "a.txt").write_text("The first.")
    (tmp_path / "b.odd").write_text("secret")
    files = read_files([tmp_path])
    assert [d.text for d in files.documents] == ["The first."]
    (reason,) = files.skipped.values()
    assert failing in reason and "secret" not in reason
