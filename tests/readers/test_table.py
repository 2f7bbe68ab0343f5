"""Rows of CSV files say their columns' names, and are units."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.readers import read_files
from s3_retriever.readers.files import read_content
from s3_retriever.readers.table import READER
from s3_retriever.readers.tables import Cell, row_lines
from s3_retriever.segmentation.units import sections_of
from tests.readers.files import read_one, reason


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("name,city\nAnn,Oslo\nBo,\n", "name: Ann | city: Oslo\nname: Bo"),
        ('name;city\n"Lee; Ann";Oslo\n', "name: Lee; Ann | city: Oslo"),
        ("name\tcity\nAnn\tOslo", "name: Ann | city: Oslo"),
        (
            'name,note\r\nAnn,"two\r\nlines, ""quoted"""\r\n',
            'name: Ann | note: two lines, "quoted"',
        ),
        ("\ufeffname,city\nAnn,Oslo", "name: Ann | city: Oslo"),
        ("a,b\n1,2,3\n4", "a: 1 | b: 2 | 3\na: 4"),
        ("name\nAnn\nBo", "name\nAnn\nBo"),
        ("name,city\n", "name | city"),
        ("1804,Wheel\n1911,Roof\n", "1804 | Wheel\n1911 | Roof"),
        ("a,,c\n1,2,3\n", "a |  | c\n1 | 2 | 3"),
        ("a,a\n1,2\n", "a | a\n1 | 2"),
        ("\n,,\nname,city\n\nAnn,Oslo\n,\n", "name: Ann | city: Oslo"),
        ('name,city\n"never closed,Oslo\n', "name: never closed,Oslo"),
    ],
)
def test_rows(tmp_path: Path, data: str, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(data.encode())
    assert read_one(tmp_path / "a.csv") == text


def test_a_cell_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\n" + "x" * 200_000)
    assert "no table" in reason(tmp_path / "a.csv")


def test_units_are_rows() -> None:
    rows = [f"Ann {n},Oslo,She works in the harbour office and likes it." for n in range(50)]
    text = read_content("\n".join(["name,city,note", *rows]).encode(), ".csv").text
    units = [unit.at for section in sections_of(text, "en") for unit in section.units]
    assert units == [0, *(at + 1 for at, sign in enumerate(text) if sign == "\n")]


@given(st.text(st.sampled_from('ab1,;|\t"\n\r '), min_size=1))
def test_every_cell_of_any_table_is_kept(data: str) -> None:
    text = READER.read(data.encode()).text
    for sign in "ab1":
        assert (sign in text) == (sign in data)


@given(
    st.lists(
        st.lists(st.builds(Cell, st.sampled_from(["", "a", "b c"]), *[st.integers(1, 5)] * 2)),
        max_size=8,
    )
)
def test_cells_that_reach_far_lose_and_invent_nothing(rows: list[list[Cell]]) -> None:
    lines = list(row_lines(rows, 10_000))
    assert len(lines) <= len(rows)
    for text in ("a", "b c"):
        assert any(text in line for line in lines) == any(
            cell.text == text for row in rows for cell in row
        )


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".py", ".toml"])
def test_records_and_code_are_kept_exactly(tmp_path: Path, suffix: str) -> None:
    data = '# not a heading\r\n{"a": [1, "\\u00e9"]}\r\n\r\n\tend\n'
    (tmp_path / f"a{suffix}").write_bytes(data.encode())
    (document,) = read_files([tmp_path]).documents
    assert document.text == data
    assert document.metadata["title"] == f"a{suffix}"


def test_units_of_a_table_of_two_columns_are_rows() -> None:
    said = "a stone wheel, four metres across, which the river turned in winter"
    rows = "".join(f"<tr><td>{year}<td>{said}" for year in range(1800, 1810))
    text = read_content(f"<table>{rows}</table>".encode(), ".html").text
    units = [unit.at for section in sections_of(text, "en") for unit in section.units]
    assert units == [0, *(at + 1 for at, sign in enumerate(text) if sign == "\n")]
