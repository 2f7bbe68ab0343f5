"""What pages show runs as it stands there, block after block, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mktestdocs import check_md_file
from mktestdocs.__main__ import grab_code_blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["index.md", "start.md", "howto.md", "coming-from.md"]


@pytest.mark.parametrize("page", PAGES)
def test_python(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert grab_code_blocks((DOCS / page).read_text(), lang="python")
    check_md_file(DOCS / page, memory=True)


def test_shell(tmp_path: Path) -> None:
    (block,) = grab_code_blocks((DOCS / "start.md").read_text(), lang="bash")
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["sh", "-e", "-c", block],
        cwd=tmp_path,
        env={**os.environ, "PATH": here},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Trips are approved by the office in Bergen." in ran.stdout
