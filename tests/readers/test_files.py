"""Folders, links and ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_retriever.readers import FilesRead, read_files
from s3_retriever.readers.changes import changes_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.md", "a.TXT", "sub/deep/c.rst", "sub/logo.png", "data.xyz", ".git/d.txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    return tmp_path / "tree"


def test_known_kinds_by_their_path_below_the_folder(tree: Path) -> None:
    files = read_files([tree], root=tree)
    assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]
    assert [d.id for d in read_files([tree]).documents] == [
        (tree / d.id).as_posix() for d in files.documents
    ]
    assert files.passed_over == {
        str(tree / ".git"): "a hidden folder",
        str(tree / "data.xyz"): "no reader takes .xyz",
        str(tree / "sub" / "logo.png"): "no reader takes .png (image/png)",
    }
    assert not files.skipped


def test_a_file_given_by_name_is_read_whatever_its_suffix(tree: Path) -> None:
    files = read_files([tree / "data.xyz", tree / "sub" / "logo.png"], root=tree)
    assert [d.id for d in files.documents] == ["data.xyz", "sub/logo.png"]


def test_a_file_given_twice_is_read_once(tree: Path) -> None:
    files = read_files([tree, tree / "b.md", str(tree / "sub" / ".." / "b.md")], root=tree)
    assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]


def test_links_out_of_the_folder_are_not_followed(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("outside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "e.txt").write_text("outside too")
    (tree / "link.txt").symlink_to(secret)
    (tree / "folder").symlink_to(tmp_path / "other")
    (tree / "inside.txt").symlink_to(tree / "b.md")
    files = read_files([tree], root=tree)
    assert [d.id for d in files.documents] == [
        "a.TXT",
        "b.md",
        "sub/deep/c.rst",
    ]
    assert "which is read" in files.skipped[str(tree / "inside.txt")]
    left_out = {str(tree / "link.txt"), str(tree / "folder")}
    assert set(files.skipped) == {*left_out, str(tree / "inside.txt")}
    assert all("leads out" in files.skipped[path] for path in left_out)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_a_file_that_two_linked_folders_lead_to(tmp_path: Path, order: tuple[str, str]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("a text")
    for name in order:
        (tmp_path / name).symlink_to(tmp_path / "real")
    first, second = (tmp_path / name / "a.txt" for name in order)
    files = read_files([tmp_path / name for name in order])
    assert [d.id for d in files.documents] == [str(first)]
    assert files.skipped == {str(second): f"it leads to {first}, which is read"}
    with_itself = read_files([*(tmp_path / name for name in order), tmp_path / "real"])
    assert [d.id for d in with_itself.documents] == [str(tmp_path / "real" / "a.txt")]
    assert set(with_itself.twins) == {str(first), str(second)}
    below = read_files([tmp_path / "real", tmp_path / order[0]], root=tmp_path / order[0])
    assert [d.id for d in below.documents] == ["a.txt"]
    stored = {str(second): {"path": str(second)}, "own": {"path": str(second)}}
    changes = changes_of(files, stored, [])
    assert (changes.removed, changes.superfluous) == ((), (str(second),))
    changes = changes_of(files, stored, [], prune=True)
    assert (changes.removed, changes.superfluous) == ((str(second),), ())


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
    assert document.id.startswith(f"{tree}/caf\\udce9.txt#")
    assert document.metadata["title"] == "caf\\udce9.txt"
    document.metadata["path"].encode()


def test_what_is_not_there(tmp_path: Path) -> None:
    files = read_files([tmp_path / "none", "a\0b"])
    assert files.skipped[str(tmp_path / "none")] == "there is no such file or folder"
    assert len(files.skipped) == 2


def test_an_empty_folder_and_no_path_at_all(tmp_path: Path) -> None:
    assert read_files([tmp_path]) == read_files([]) == FilesRead((), {}, {})
