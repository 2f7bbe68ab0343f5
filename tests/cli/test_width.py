"""Nothing is cut where a terminal is narrow, or where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Run, Setup

LONG = "a-folder-with-a-rather-long-name-for-tests-of-narrow-terminals"


def shown(tmp_path: Path, columns: str | None, *arguments: object) -> str:
    """What a process of its own writes into a file."""
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    if columns:
        environment["COLUMNS"] = columns
    with (tmp_path / "out").open("wb") as out:
        code = "from s3_retriever.cli import main; main()"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 0, done.stderr
    return (tmp_path / "out").read_text(encoding="utf-8")


def test_ids_scores_and_footers(run: Run, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / LONG).mkdir()
    file = tmp_path / LONG / "lighthouse.txt"
    file.write_bytes((setup.files / "lighthouse.txt").read_bytes())
    index = tmp_path / f"index-{LONG}"
    assert run("index", file, "--index", index, *setup.resident).exit_code == 0
    for columns in ("60", None):
        place = ["--index", index]
        found = shown(tmp_path, columns, "search", "Which lamp?", *place, *setup.resident)
        assert "…" not in found
        lines = found.splitlines()
        assert any(line.startswith(f"1  {file}:") for line in lines)
        assert any(line.startswith("score ") and "bm25" in line for line in lines)
        assert lines[-1].endswith(str(index))
        described = shown(tmp_path, columns, "info", *place)
        assert "…" not in described
        assert described.splitlines()[0].split() == ["index", str(index)]
        assert len(described.splitlines()) == 10
        listed = shown(tmp_path, columns, "list", *place, "--profile", setup.profile)
        assert len(listed.splitlines()) == 1
