"""The commands with a small random model: everything is real but the quality of what is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s3_retriever.cli.app import app
from tests.tiny import tiny_llm, write_profile

FILES = {
    "lighthouse.txt": "# The lighthouse\n\nThe lighthouse on Skerry Point was finished in 1887. "
    "Its lamp burned whale oil until 1911, when it was converted to paraffin.\n",
    "bread.md": "# Bread\r\n\r\nSourdough needs no bought yeast 😀. Flour and water are left to "
    "ferment for about a week.\r\n",
    "sky/comet.html": "<title>A comet</title><p>Comet Hargreave returns every 41 years.<p>It was "
    "first seen in 1902.",
}


@dataclass(frozen=True)
class Setup:
    """A model, its profile, files, and an index of them."""

    model: Path
    profile: Path
    files: Path
    index: Path

    @property
    def resident(self) -> list[str]:
        """The options that choose the model."""
        return ["--profile", str(self.profile), "--model", str(self.model), "--device", "cpu"]


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command in this process; standard output and error are kept apart."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return run


@pytest.fixture(scope="session")
def setup(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Setup:
    """Tests must not change it; see ``own_index``."""
    root = tmp_path_factory.mktemp("cli")
    llm = tiny_llm(max_position_embeddings=4096)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    for name, text in FILES.items():
        path = root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    profile = write_profile(root / "profile", llm)
    setup = Setup(root / "model", profile, root / "files", root / "index")
    result = run(
        "index", setup.files, "--root", setup.files, "--index", setup.index, *setup.resident
    )
    assert result.exit_code == 0, result.output
    return setup


@pytest.fixture
def own_index(setup: Setup, tmp_path: Path) -> Path:
    """A copy of the index, to be changed or damaged."""
    return Path(shutil.copytree(setup.index, tmp_path / "own"))
