"""Folders, links and ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_retriever.readers import FilesRead, read_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.md", "a.TXT", "sub/deep/c.rst", "sub/logo.png", "data.csv", ".git/d.txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    return tmp_path / "tree"


def test_known_kinds_by_their_path_below_the_folder(tree: Path) -> None:
    files = read_files([tree])
    assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]
    assert files.passed_over == 2
    assert not files.skipped


def test_a_file_given_by_name_is_read_whatever_its_suffix(tree: Path) -> None:
    files = read_files([tree / "data.csv", tree / "sub" / "logo.png"])
    assert [d.id for d in files.documents] == ["data.csv", "logo.png"]


def test_a_file_given_twice_is_read_once(tree: Path) -> None:
    files = read_files([tree, tree / "b.md", str(tree / "sub" / ".." / "b.md")])
    assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]


def test_ids_that_would_be_the_same_get_parent_folders(tmp_path: Path) -> None:
    for name in ("x/docs/readme.md", "y/docs/readme.md", "y/docs/other.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    roots = [tmp_path / "x" / "docs", tmp_path / "y" / "docs"]
    ids = {d.text: d.id for d in read_files(roots).documents}
    assert ids == {
        "x/docs/readme.md": "x/docs/readme.md",
        "y/docs/readme.md": "y/docs/readme.md",
        "y/docs/other.md": "other.md",
    }
    assert ids == {d.text: d.id for d in read_files(roots[::-1]).documents}


def test_links_out_of_the_folder_are_not_followed(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("outside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "e.txt").write_text("outside too")
    (tree / "link.txt").symlink_to(secret)
    (tree / "folder").symlink_to(tmp_path / "other")
    (tree / "inside.txt").symlink_to(tree / "b.md")
    files = read_files([tree])
    assert [d.id for d in files.documents] == [
        "a.TXT",
        "b.md",
        "inside.txt",
        "sub/deep/c.rst",
    ]
    assert set(files.skipped) == {str(tree / "link.txt"), str(tree / "folder")}
    assert all("leads out" in why for why in files.skipped.values())


def test_links_in_a_circle_and_to_nowhere(tree: Path) -> None:
    (tree / "loop.txt").symlink_to(tree / "loop.txt")
    (tree / "gone.txt").symlink_to(tree / "never.txt")
    (tree / "up").symlink_to(tree)
    files = read_files([tree])
    assert len(files.documents) == 3
    assert set(files.skipped) == {str(tree / "loop.txt"), str(tree / "gone.txt")}


def test_a_pipe_is_not_waited_for(tree: Path) -> None:
    os.mkfifo(tree / "pipe.txt")
    files = read_files([tree])
    assert "neither a file" in files.skipped[str(tree / "pipe.txt")]


def test_a_name_that_is_not_utf_8(tree: Path) -> None:
    Path(os.fsdecode(os.fsencode(tree) + b"/caf\xe9.txt")).write_text("odd name")
    (document,) = (d for d in read_files([tree]).documents if d.text == "odd name")
    assert document.id == "caf\\udce9.txt"
    document.metadata["path"].encode()


def test_what_is_not_there(tmp_path: Path) -> None:
    files = read_files([tmp_path / "none", "a\0b"])
    assert files.skipped[str(tmp_path / "none")] == "there is no such file or folder"
    assert len(files.skipped) == 2


def test_an_empty_folder_and_no_path_at_all(tmp_path: Path) -> None:
    assert read_files([tmp_path]) == read_files([]) == FilesRead((), {}, 0)
