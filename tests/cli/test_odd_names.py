"""What the commands print about files, ids and folders of any name is short, printable lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import run as run_process

import pytest

from tests.cli.conftest import Run, Setup

NAMES = [
    "two\nlines.txt",
    "\u202egnp.txt",
    "caf\udce9.txt",
    "\x1b[2J\x1b]0;title\x07.txt",
    "a\u2028b\x85c\x0bd.txt",
    "[bold]markup[bold] %s {} .txt",
    "名前" + "長い" * 30 + "🙂.txt",
    "x" * 250 + ".txt",
]


def is_fit(output: str) -> bool:
    """Lines that can be printed anywhere, none longer than three values and some words."""
    lines = output.rstrip("\n").split("\n")
    return all(line.isprintable() and len(line) <= 700 for line in lines)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    for n, name in enumerate(NAMES):
        (folder / name).write_text(f"Text number {n} is about a lighthouse.")
        broken = f"!{os.fsdecode(os.fsencode(name)[:200])}.txt"
        (folder / broken).write_bytes(b"\x00\x01" * 50)
    return folder


def test_index_says_what_it_does(run: Run, setup: Setup, files: Path, tmp_path: Path) -> None:
    place = ["--index", tmp_path / "index"]
    dry = run("index", files, *place, *setup.resident, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert dry.stdout.count("would add") == len(NAMES)
    assert dry.stdout.count("\n") == len(NAMES) + 1
    assert dry.stderr.count("skipped ") == len(NAMES)
    done = run("index", files, *place, *setup.resident)
    assert done.exit_code == 0, done.output
    for name in NAMES:
        (files / name).unlink()
    gone = run("index", files, *place, *setup.resident, "--prune", "--dry-run")
    assert gone.stdout.count("would remove") == len(NAMES)
    for result in (dry, done, gone):
        assert is_fit(result.stdout) and is_fit(result.stderr), result.output


@pytest.mark.parametrize("name", NAMES)
def test_no_such_thing(run: Run, setup: Setup, own_index: Path, name: str) -> None:
    profile = ["--profile", setup.profile]
    asked: list[Sequence[object]] = [
        ["info", "--index", f"/nowhere/{name}"],
        ["index", f"/nowhere/{name}", "--index", own_index, *profile],
        ["doctor", "--index", f"/nowhere/{name}"],
        ["set-metadata", name, "{}", "--index", own_index, *profile],
        ["set-metadata", "bread.md", name, "--index", own_index, *profile],
        ["delete", "a", "--index", own_index, "--namespace", name, *profile],
        ["delete", "--index", own_index, *profile, "--filter", f'{{"a": {{"$no": "{name}"}}}}'],
        ["export", "--index", own_index, *profile, "--to", f"/nowhere/{name}"],
        ["import", f"/nowhere/{name}", "--index", own_index, *profile],
        ["snapshot", "--index", own_index, *profile, "--to", own_index / name / "x"],
        ["search", "a", "--index", own_index, "--profile", f"/nowhere/{name}"],
    ]
    for arguments in asked:
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.rstrip("\n").count("error: ") == 1
        assert is_fit(result.stdout) and is_fit(result.stderr), result.output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_knows_few_characters(files: Path, tmp_path: Path, encoding: str) -> None:
    done = run_process(
        [sys.executable, "-m", "s3_retriever", "index", files, "--index", "i", "--dry-run"],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding).count("would add") == len(NAMES)
    assert is_fit(done.stdout.decode(encoding))
    assert is_fit(done.stderr.decode(encoding))
