"""How the commands start, and how what goes wrong is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from s3_retriever.cli.app import app
from s3_retriever.engine import Engine
from tests.cli.conftest import Run, Setup

PYTHON = sys.executable


def test_help_names_every_command_and_loads_no_torch() -> None:
    code = (
        "import sys\nfrom s3_retriever.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print({'torch', 'transformers', 'tantivy'} & set(sys.modules))"
    )
    done = subprocess.run([PYTHON, "-c", code, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("set()")
    for name in ("demo", "index", "search", "ask", "info", "doctor", "train", "calibrate"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("command", [c.name for c in app.registered_commands])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["search", "Why?"], ["ask", "Why?"], ["info"], ["doctor"], ["doctor", "--repair"]]
)
def test_no_index_is_one_line_and_nothing_is_created(
    run: Run, tmp_path: Path, arguments: list[str]
) -> None:
    folder = tmp_path / "none"
    result = run(*arguments, "--index", folder)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"error: no index at {folder}; make one with: s3-retriever index PATH... --index {folder}\n"
    )
    assert not folder.exists()


def test_a_folder_of_other_things_is_no_index(run: Run, setup: Setup) -> None:
    result = run("search", "Why?", "--index", setup.files)
    assert result.exit_code == 2
    assert "no index at" in result.stderr
    assert not (setup.files / "tantivy").exists()


def test_an_index_of_a_trained_profile_asks_for_it(run: Run, setup: Setup) -> None:
    for command in (["search", "Why?"], ["doctor"]):
        result = run(*command, "--index", setup.index)
        assert result.exit_code == 2
        assert "profile 'tiny'" in result.stderr
        assert "--profile" in result.stderr


def test_an_unknown_profile(run: Run, setup: Setup) -> None:
    result = run("search", "Why?", "--index", setup.index, "--profile", "nope")
    assert result.exit_code == 2
    assert "no profile 'nope'" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "is not JSON"),
        ('["a"]', "a filter is a mapping"),
        ('{"a": {"$near": 1}}', "unknown operator '$near'"),
    ],
)
def test_a_bad_filter_is_said_before_a_model_is_loaded(
    run: Run, setup: Setup, given: str, said: str
) -> None:
    result = run("search", "Why?", "--index", setup.index, "--filter", given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "loading" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--max-tokens", "0"], ["-k", "0"], ["--mode", "magic"], ["--scoring", "magic"]]
)
def test_a_bad_option_names_itself(run: Run, setup: Setup, arguments: list[str]) -> None:
    result = run("search", "Why?", "--index", setup.index, *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_an_empty_question(run: Run, setup: Setup) -> None:
    result = run("search", "  ", "--index", setup.index, *setup.resident)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "question" in result.stderr


def test_a_setting_out_of_bounds_names_its_option(run: Run, tmp_path: Path) -> None:
    arguments = ["--model", "m", "--corpus", tmp_path, "--out", tmp_path / "p"]
    result = run("train", *arguments, "--batch-tokens", "0")
    assert result.exit_code == 2
    assert result.stderr == ("error: --batch-tokens: Input should be greater than or equal to 1\n")


def test_markup_in_a_name_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    result = run("info", "--index", tmp_path / "[bold]x[/red]")
    assert "[bold]x[/red]" in result.stderr


def test_an_interruption_is_130(run: Run, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "retrieve", interrupted)
    result = run("search", "Why?", "--index", setup.index, *setup.resident)
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted\n")


def test_a_reader_that_goes_away_is_no_traceback(setup: Setup) -> None:
    command = [PYTHON, "-m", "s3_retriever", "search", "Who?", "--index", setup.index]
    process = subprocess.Popen(
        [*map(str, command), *setup.resident],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.wait()
    assert "Traceback" not in said
    assert "Error" not in said


def test_a_terminal_without_unicode(setup: Setup) -> None:
    arguments = ["search", "What about bread?", "--index", str(setup.index), *setup.resident]
    done = subprocess.run(
        [PYTHON, "-m", "s3_retriever", *arguments],
        capture_output=True,
        env={"PATH": "/usr/bin", "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert b"bread.md" in done.stdout


def test_json_is_utf_8_there_too(setup: Setup) -> None:
    arguments = ["search", "bread 😀", "--index", str(setup.index), "--json", *setup.resident]
    done = subprocess.run(
        [PYTHON, "-m", "s3_retriever", *arguments],
        capture_output=True,
        env={"PATH": "/usr/bin", "PYTHONIOENCODING": "ascii"},
    )
    assert json.loads(done.stdout.decode())["question"] == "bread 😀"


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "", "--index", "x"],
        ["index", "a.txt", "--index", ""],
        ["index", "a.txt", "--index="],
        ["index", "a.txt", "--index", "x", "--root", ""],
        ["search", "a", "--index", ""],
        ["snapshot", "--index", "x", "--to", ""],
        ["delete", "", "--index", "x"],
    ],
)
def test_an_empty_argument_is_not_the_working_directory(
    run: Run, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("A text.")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "an argument is empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_home_folder_in_any_option(
    run: Run, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell expands the second half of ``--index=~/index``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("Cats sleep most of the day.")
    place = ["--index=~/index", "--profile", setup.profile]
    assert run("index", "~/a.txt", *place, *setup.resident[2:]).exit_code == 0
    assert run("snapshot", *place, "--to=~/copy").exit_code == 0
    assert run("export", *place, "--to=~/all.bundle").exit_code == 0
    assert run("import", "~/all.bundle", *place, "--namespace", "team").exit_code == 0
    assert run("doctor", "--index=~/copy", "--profile", setup.profile).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "all.bundle", "copy", "index"]
