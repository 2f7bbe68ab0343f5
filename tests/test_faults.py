"""docs/faults.md lists rules; every test that it names for them is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAULTS = ROOT / "docs" / "faults.md"
_FOLDERS = (ROOT / "tests", *sorted((ROOT / "integrations").glob("*/tests")))


def rows() -> list[list[str]]:
    """The cells of each row: kind, what happened, rule, test."""
    lines = FAULTS.read_text(encoding="utf-8").splitlines()
    found = [re.split(r" *(?<!\\)\| *", line.strip("| ")) for line in lines if line[:1] == "|"]
    return [cells for cells in found if cells[0] not in ("kind", "---")]


@cache
def named_in(file: Path) -> frozenset[str]:
    """The functions and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(node.name for node in tree if isinstance(node, kinds))


def files_called(name: str) -> list[Path]:
    """Files of tests under a name, with or without the folder of tests before it."""
    short = name.removeprefix("tests/")
    found = [file for folder in _FOLDERS for file in folder.glob(short)]
    return found + [file for folder in _FOLDERS for file in folder.rglob(f"*/{short}")]


def is_there(name: str, row: str) -> bool:
    """Whether a test, a class of them or a file is there."""
    file, *inside = name.split("::")
    if file and not file.endswith(".py"):
        files, inside = [f for folder in _FOLDERS for f in folder.rglob("*.py")], [file, *inside]
    else:  # "::name" means the file that was named before it
        before = [n for n in re.findall(r"`([^`:]+\.py)", row.split(f"`{name}`")[0]) if not file]
        files = files_called(file or before[-1])
    return any(set(inside) <= named_in(f) for f in files)


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0])
def test_a_row_names_tests_that_are_there(cells: list[str]) -> None:
    assert len(cells) == 4, cells
    names = re.findall(r"`([^`]+)`", cells[3])
    assert names
    assert [name for name in names if not is_there(name, cells[3])] == []


@pytest.mark.parametrize(
    "name", ["tests/test_none.py", "test_nobody_wrote", "test_plain.py::test_nobody"]
)
def test_what_is_not_there_is_seen(name: str) -> None:
    assert not is_there(name, f"`{name}`")
