"""Commands that need no model start without the libraries that run one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Setup

_RUN = (
    "import sys\nfrom s3_retriever.cli import main\n"
    "try:\n    main()\n"
    "finally:\n    print('loaded:', *({'torch', 'transformers', 'tokenizers'} & {*sys.modules}))"
)

COMMANDS = {
    "info": ["info"],
    "list": ["list"],
    "get": ["get", "bread.md"],
    "namespaces": ["namespaces"],
    "doctor": ["doctor"],
    "delete by id": ["delete", "bread.md"],
    "delete by filter": ["delete", "--filter", '{"title": {"$exists": true}}'],
    "set-metadata": ["set-metadata", "bread.md", '{"kind": "food"}'],
    "compact": ["compact"],
    "snapshot": ["snapshot", "--to", "copy"],
    "export": ["export", "--to", "new.bundle"],
    "import": ["import", "a.bundle"],
    "doctor --repair, with nothing to read again": ["doctor", "--repair"],
}


def loaded(folder: Path, *arguments: object, code: int = 0) -> str:
    """What one command, in a process of its own, has imported."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_neither_torch_nor_transformers_is_imported(
    run: Run, setup: Setup, own_index: Path, tmp_path: Path, arguments: list[str]
) -> None:
    where = ["--index", own_index]
    if arguments[0] not in ("info", "namespaces"):
        where += ["--profile", setup.profile]
    run("export", *where, "--to", tmp_path / "a.bundle")
    if arguments[0] == "compact":
        run("delete", "bread.md", *where)
    assert loaded(tmp_path, *arguments, *where) == "loaded:"


def test_a_profile_whose_autoencoders_are_gone_is_enough(
    run: Run, setup: Setup, own_index: Path, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "profile.json").write_bytes((setup.profile / "profile.json").read_bytes())
    result = run("delete", "bread.md", "--index", own_index, "--profile", tmp_path / "p")
    assert result.exit_code == 0, result.output


def test_an_unchanged_folder_and_an_empty_question_load_nothing(
    setup: Setup, own_index: Path
) -> None:
    place = ["--index", own_index, *setup.resident]
    assert loaded(own_index, "index", setup.files, "--root", setup.files, *place) == "loaded:"
    for command in ("search", "ask"):
        assert loaded(own_index, command, " \u200b", *place, code=2) == "loaded:"


def test_what_needs_the_model_imports_it(setup: Setup, own_index: Path) -> None:
    arguments = ["search", "Why?", "--index", own_index, *setup.resident]
    assert "torch" in loaded(own_index, *arguments)
