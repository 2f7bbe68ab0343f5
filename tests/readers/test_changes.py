"""Files against what an index holds: nothing of another file is replaced, nothing stands twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.readers import FileChanges, FilesRead, changes_of, read_files


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("projA/README.md", "projB/README.md", "projB/docs/README.md", "projB/b.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    return tmp_path / "projA", tmp_path / "projB"


class Held(dict[str, dict[str, Any]]):
    """An index as far as it matters here: metadata by id."""

    def take(self, changes: FileChanges) -> FileChanges:
        for old, new in changes.renamed.items():
            assert new not in self
            self[new] = self.pop(old)
        self.update({d.id: dict(d.metadata) for d in changes.documents})
        for doc_id in changes.removed:
            del self[doc_id]
        return changes

    def files(self) -> dict[str, str]:
        return {doc_id: metadata["path"] for doc_id, metadata in self.items()}


def update(held: Held, *paths: Path, root: Path | None = None, prune: bool = False) -> FileChanges:
    changes = changes_of(read_files(paths, root=root), held, paths, prune=prune)
    assert not (changes.superfluous if prune else changes.removed)
    return held.take(changes)


ORDERS: dict[str, list[list[str]]] = {
    "one after the other": [["projA"], ["projB"]],
    "the other way round": [["projB"], ["projA"]],
    "in one call": [["projA", "projB"]],
    "in one call, turned": [["projB", "projA"]],
    "again in one call": [["projA"], ["projB"], ["projA", "projB"]],
    "the folder above": [["."], ["projA"], ["projB"]],
    "files by name": [["projA/README.md", "projB/README.md"], ["projB/docs", "projB"]],
    "twice in a call": [["projA", "projA/README.md", "projB", "projB/../projB/docs"]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_file_once_whatever_the_calls(
    projects: tuple[Path, Path], tmp_path: Path, order: str
) -> None:
    held = Held()
    for call in ORDERS[order]:
        changes = update(held, *(tmp_path / name for name in call))
        assert not (changes.renamed or changes.removed or changes.refused)
    wanted = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert held.files() == {path.as_posix(): str(path) for path in wanted}


@pytest.mark.parametrize("where", [".", "..", "projA"])
def test_ids_do_not_depend_on_the_working_directory(
    projects: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    wanted = [d.id for d in read_files([tmp_path]).documents]
    monkeypatch.chdir(tmp_path / where)
    relative = Path(os.path.relpath(tmp_path, Path.cwd()))
    assert [d.id for d in read_files([relative]).documents] == wanted
    assert [d.id for d in read_files([relative, tmp_path]).documents] == wanted


def test_a_folder_that_moves_keeps_its_ids(projects: tuple[Path, Path], tmp_path: Path) -> None:
    held = Held()
    update(held, projects[1], root=projects[1])
    before = set(held)
    assert before == {"README.md", "docs/README.md", "b.txt"}
    moved = projects[1].rename(tmp_path / "elsewhere")
    changes = update(held, moved, root=moved, prune=True)
    assert set(held) == before
    assert not (changes.renamed or changes.removed or changes.refused)
    assert set(held.files().values()) == {str(moved / name) for name in before}


def test_what_came_from_another_file_is_not_replaced(projects: tuple[Path, Path]) -> None:
    held = Held()
    update(held, projects[0], root=projects[0])
    changes = update(held, projects[1], root=projects[1])
    assert list(changes.refused) == [str(projects[1] / "README.md")]
    assert str(projects[0] / "README.md") in changes.refused[str(projects[1] / "README.md")]
    assert held.files()["README.md"] == str(projects[0] / "README.md")
    assert set(held) == {"README.md", "docs/README.md", "b.txt"}


@pytest.mark.parametrize("metadata", [{}, {"path": 3}, {"source": "README.md"}])
def test_what_came_from_no_file_is_neither_replaced_nor_removed(
    projects: tuple[Path, Path], metadata: dict[str, Any]
) -> None:
    held = Held({"README.md": metadata, "kept": {"path": str(projects[0] / "gone.md")}})
    changes = update(held, projects[0], root=projects[0], prune=True)
    assert "came from no file" in changes.refused[str(projects[0] / "README.md")]
    assert held["README.md"] == metadata
    assert "kept" in held


def test_somebodys_own_parts_of_a_file_stay(projects: tuple[Path, Path]) -> None:
    path = projects[0] / "README.md"
    held = Held({f"part {n}": {"path": str(path)} for n in range(3)})
    changes = update(held, projects[0], prune=True)
    assert not (changes.renamed or changes.removed)
    assert set(held) == {"part 0", "part 1", "part 2", path.as_posix()}


OLD: dict[str, Mapping[str, str]] = {
    "short": {"README.md": "projA/README.md"},
    "replaced by the other": {"README.md": "projB/README.md", "b.txt": "projB/b.txt"},
    "with parents": {
        "projA/README.md": "projA/README.md",
        "projB/README.md": "projB/README.md",
        "docs/README.md": "projB/docs/README.md",
    },
    "twice": {"README.md": "projB/README.md", "projB/README.md": "projB/README.md"},
}


@pytest.mark.parametrize("old", OLD)
def test_an_index_of_an_older_release_holds_nothing_twice(
    projects: tuple[Path, Path], tmp_path: Path, old: str
) -> None:
    held = Held({i: {"path": str(tmp_path / name)} for i, name in OLD[old].items()})
    distinct = set(OLD[old].values())
    changes = update(held, tmp_path)
    assert len(changes.renamed) == len(distinct)  # nothing of them is read again
    assert len(changes.superfluous) == len(OLD[old]) - len(distinct)
    assert len(held) == len([p for p in tmp_path.rglob("*") if p.is_file()]) + (
        len(OLD[old]) - len(distinct)
    )
    assert update(held, tmp_path, prune=True).removed == changes.superfluous
    assert held.files() == {p.as_posix(): str(p) for p in tmp_path.rglob("*") if p.is_file()}


def test_from_absolute_ids_to_short_ones_and_back(
    projects: tuple[Path, Path], tmp_path: Path
) -> None:
    held = Held()
    update(held, tmp_path)
    absolute = set(held)
    assert len(update(held, tmp_path, root=tmp_path).renamed) == len(absolute)
    assert set(held) == {Path(i).relative_to(tmp_path).as_posix() for i in absolute}
    update(held, projects[1], root=projects[1])  # README.md and so on, below another root
    assert len(held) == len(absolute)
    update(held, tmp_path)
    assert set(held) == absolute


class TestPruning:
    def test_only_what_is_gone(self, projects: tuple[Path, Path], tmp_path: Path) -> None:
        held = Held()
        update(held, tmp_path)
        gone = projects[1] / "b.txt"
        gone.unlink()
        assert update(held, projects[1]).superfluous == (gone.as_posix(),)
        assert update(held, projects[1], prune=True).removed == (gone.as_posix(),)
        assert not update(held, projects[1], prune=True).removed

    def test_only_below_what_is_given(self, projects: tuple[Path, Path], tmp_path: Path) -> None:
        held = Held()
        (tmp_path / "projAB").mkdir()
        (tmp_path / "projAB" / "c.txt").write_text("Its name begins alike.")
        update(held, tmp_path)
        for path in (projects[1] / "b.txt", tmp_path / "projAB" / "c.txt"):
            path.unlink()
        assert not update(held, projects[0], prune=True).removed
        assert len(update(held, tmp_path, prune=True).removed) == 2

    def test_a_folder_or_file_that_is_gone_itself(self, projects: tuple[Path, Path]) -> None:
        held = Held()
        update(held, *projects)
        (projects[0] / "README.md").unlink()
        projects[0].rmdir()
        assert update(held, projects[0], prune=True).removed == (
            (projects[0] / "README.md").as_posix(),
        )
        (projects[1] / "b.txt").unlink()
        assert update(held, projects[1] / "b.txt", prune=True).removed

    def test_what_cannot_be_read_any_more_is_not_gone(self, projects: tuple[Path, Path]) -> None:
        held = Held()
        update(held, projects[1])
        (projects[1] / "b.txt").write_bytes(b"")
        (projects[1] / "docs").rename(projects[1] / ".docs")  # hidden: gone from where it was
        (projects[1] / "README.md").unlink()
        (projects[1] / "README.md").mkdir()
        assert update(held, projects[1], prune=True).removed == (
            (projects[1] / "docs" / "README.md").as_posix(),
        )

    def test_names_that_are_no_utf_8(self, tmp_path: Path) -> None:
        odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
        for path in (odd, tmp_path / "caf\\udce9.txt", tmp_path / "café.txt"):
            path.write_text(f"{path!r}")
        held = Held()
        update(held, tmp_path)
        assert len(held) == 3  # no two files share an id
        update(held, tmp_path, prune=True)
        assert len(held) == 3
        odd.unlink()
        assert len(update(held, tmp_path, prune=True).removed) == 1
        assert set(held) == {f"{tmp_path}/caf\\udce9.txt", f"{tmp_path}/café.txt"}
        update(held, tmp_path, root=tmp_path)
        assert set(held) == {"caf\\udce9.txt", "café.txt"}


def test_what_is_not_below_the_root_is_named(projects: tuple[Path, Path]) -> None:
    files = read_files(projects, root=projects[1])
    assert list(files.skipped) == [str(projects[0] / "README.md")]
    assert "not below" in files.skipped[str(projects[0] / "README.md")]
    assert {d.id for d in files.documents} == {"README.md", "docs/README.md", "b.txt"}


def test_nothing_to_compare() -> None:
    assert changes_of(FilesRead((), {}, {}), {}, [], prune=True) == FileChanges()
