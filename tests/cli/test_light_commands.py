"""Commands that need no model start without the libraries that run one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.models import shared
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.self_test import make_self_test
from tests.cli.conftest import Run, Setup

_RUN = (
    "import sys\nfrom s3_retriever.cli import main\n"
    "try:\n    main()\n"
    "finally:\n    print('loaded:', *(set({asked!r}) & {{*sys.modules}}))"
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
    """What of a model's libraries one command, in a process of its own, has imported."""
    return loaded_of(folder, ["torch", "transformers", "tokenizers"], *arguments, code=code)


def loaded_of(folder: Path, asked: list[str], *arguments: object, code: int = 0) -> str:
    """Which of these modules one command, in a process of its own, has imported."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(asked=asked), *map(str, arguments)],
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


# A search for words alone


@pytest.fixture
def known(setup: Setup, tmp_path: Path) -> Setup:
    """The same with a profile that knows a text."""
    profile = Path(shutil.copytree(setup.profile, tmp_path / "known"))
    test = make_self_test(TransformersModel.load(str(setup.model), device="cpu"))
    record = json.loads((profile / "profile.json").read_text())
    record["self_test"] = test.model_dump(mode="json")
    (profile / "profile.json").write_text(json.dumps(record))
    return Setup(setup.model, profile, setup.files, setup.index)


def found_in(result: Any) -> Any:
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if " spans, " not in line]


def test_a_search_for_words_takes_the_tokenizer_alone(
    known: Setup, own_index: Path, run: Run
) -> None:
    arguments = ["search", "When was the lighthouse finished?", "--mode", "bm25"]
    where = ["--index", own_index, *known.resident]
    assert loaded(own_index, *arguments, *where) == "loaded: tokenizers"
    by_engine = run(*arguments, "--index", own_index, *_without_known(known))
    assert "1887" in by_engine.stdout
    assert found_in(run(*arguments, *where)) == found_in(by_engine)
    narrow = run(*arguments, *where, "-k", 1, "--max-tokens", 200, "--json")
    (span,) = json.loads(narrow.stdout)["spans"]
    assert "1887" in span["text"]


def _without_known(setup: Setup) -> list[str]:
    """Options with the same profile as it was: without a known text, the engine is opened."""
    record = json.loads((setup.profile / "profile.json").read_text())
    record["self_test"] = None
    plain = Path(shutil.copytree(setup.profile, setup.profile.parent / "plain"))
    (plain / "profile.json").write_text(json.dumps(record))
    return Setup(setup.model, plain, setup.files, setup.index).resident


@pytest.mark.parametrize(
    ("question", "says"), [("", "argument is empty"), (" ", "question is empty")]
)
def test_it_refuses_what_the_engine_refuses(
    known: Setup, run: Run, question: str, says: str
) -> None:
    result = run("search", question, "--mode", "bm25", "--index", known.index, *known.resident)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_tokenizer_that_cuts_otherwise_is_left_to_the_engine(known: Setup, run: Run) -> None:
    """Which says what is wrong with it."""
    record = json.loads((known.profile / "profile.json").read_text())
    record["self_test"]["ids"][0] += 1
    (known.profile / "profile.json").write_text(json.dumps(record))
    result = run("search", "Why?", "--mode", "bm25", "--index", known.index, *known.resident)
    assert result.exit_code == 2
    assert "other token ids" in result.stderr


def test_modes_load_what_they_take(known: Setup, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int | None] = []
    original = shared.shared_model

    def noted(*arguments: Any, n_layers: int | None, **options: Any) -> Any:
        loads.append(n_layers)
        return original(*arguments, n_layers=n_layers, **options)

    monkeypatch.setattr(shared, "shared_model", noted)
    for mode in (["--mode", "bm25"], ["--mode", "fast"], ["--mode", "features"], []):
        result = run("search", "Why?", *mode, "--index", known.index, *known.resident)
        assert result.exit_code == 0, result.output
    assert loads == [2, 2, None]
