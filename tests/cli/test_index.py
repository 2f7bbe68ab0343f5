"""``index``: what becomes of files, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.engine import Engine
from tests.cli.conftest import FILES, Run, Setup


def test_added_then_unchanged_then_updated(run: Run, setup: Setup, tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    (source / "a.txt").write_text("Cats sleep most of the day.")
    (source / "b.txt").write_text("Dogs bark at night.")
    (source / "c.csv").write_text("1,2")
    (source / "broken.pdf").write_text("no pdf")
    command = ["index", source, "--index", tmp_path / "index", *setup.resident]

    first = run(*command)
    assert first.exit_code == 0
    (line,) = first.stdout.splitlines()
    assert "2 added, 0 updated, 0 unchanged, 1 skipped (1 of other kinds left alone)" in line
    assert "tokens/s" in line
    assert f"skipped {source / 'broken.pdf'}: it is a broken PDF" in first.stderr
    assert f"loading {setup.model}" in first.stderr

    (source / "b.txt").write_text("Dogs bark at noon.")
    second = run(*command)
    assert "0 added, 1 updated, 1 unchanged, 1 skipped" in second.stdout

    third = run(*command)
    assert "0 added, 0 updated, 2 unchanged" in third.stdout
    assert "no tokens to read" in third.stdout
    assert third.exit_code == 0


def test_the_progress_reaches_the_end(run: Run, setup: Setup, tmp_path: Path) -> None:
    result = run("index", setup.files, "--index", tmp_path / "index", *setup.resident)
    assert "100%" in result.stderr


def test_nothing_that_can_be_read(run: Run, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.csv").write_text("1,2")
    result = run("index", tmp_path, "--index", tmp_path / "index", *setup.resident)
    assert result.exit_code == 2
    assert result.stdout == ""
    *_, skipped, error = result.stderr.splitlines()
    assert skipped.startswith(f"skipped {tmp_path / 'a.txt'}: ")
    assert error.startswith(f"error: nothing to index in {tmp_path}; kinds of files")
    assert "loading" not in result.stderr
    assert not (tmp_path / "index").exists()


def test_a_folder_with_other_files_is_not_taken_for_the_index(
    run: Run, setup: Setup, tmp_path: Path
) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    result = run("index", setup.files, "--index", tmp_path, *setup.resident)
    assert result.exit_code == 2
    assert "is not empty and holds no index" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_an_interruption_says_what_is_kept(
    run: Run, setup: Setup, own_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "add", interrupted)
    (tmp_path / "new.txt").write_text("Something new.")
    result = run("index", tmp_path / "new.txt", "--index", own_index, *setup.resident)
    assert result.exit_code == 130
    assert f"{own_index} holds {len(FILES)} documents" in result.stderr
    assert "run the same command again" in result.stderr
