"""Costs: the arithmetic by hand, and one real round through processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from s3_retriever_bench.analyses.cost import crossing, speedups
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner


def row(system: str, length: int, first: float, average: float) -> dict[str, Any]:
    seconds = {"first": {"total": first}, "average": {"total": average}}
    return {"system": system, "length": length, "wall": seconds}


ROWS = [
    *(row("full", 100, 1.0, 1.0), row("full", 200, 4.0, 4.0), row("full", 400, 9.0, 9.0)),
    *(row("s3", 100, 2.0, 0.5), row("s3", 200, 3.0, 1.0), row("s3", 400, 3.0, 1.0)),
    *(row("slow", 100, 0.5, 2.0), row("slow", 200, 5.0, 5.0), row("slow", 400, 9.0, 10.0)),
]


def test_speedups() -> None:
    found = {(system, n): (first, mean) for system, n, first, mean in speedups(ROWS, "wall")}
    assert found["s3", 200] == pytest.approx((4 / 3, 4))
    assert found["slow", 100] == pytest.approx((2, 0.5))
    assert ("full", 100) not in found


def test_where_the_lines_cross() -> None:
    assert crossing(ROWS, "s3", "wall", "first") == 150
    assert crossing(ROWS, "s3", "wall", "average") == 100  # ahead everywhere
    # ahead at first, then behind: what counts is the longest context
    assert crossing(ROWS, "slow", "wall", "first") is None
    assert crossing(ROWS, "slow", "wall", "average") is None


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", str(figures), "--plot", str(picture)]
    asked = ["cost", "--lengths", "1500", "--questions", "3", "--systems", "full,s3"]
    result = CliRunner().invoke(app, [*asked, "--budget", "100", *out, *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert [(r["system"], r["asked"]) for r in found["rows"]] == [("full", 2), ("s3", 3)]
    for one in found["rows"]:
        for clock in ("wall", "cpu"):
            average = one[clock]["average"]
            assert average["total"] == pytest.approx(average["read"] + average["write"])
    s3 = found["rows"][1]["cpu"]
    assert s3["first"]["total"] > s3["average"]["total"]  # the document is read once
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lengths", "9000"], "exceed the window of 2048"),
        (["--systems", "ful"], "unknown systems ful"),
        (["--clock", "sun"], "unknown clock sun"),
    ],
)
def test_mistakes(arguments: list[str], message: str, resident: list[str]) -> None:
    result = CliRunner().invoke(app, ["cost", *arguments, *resident])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
