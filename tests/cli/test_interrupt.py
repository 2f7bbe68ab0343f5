"""Ctrl-C: what was read is kept, it is said in a line, and the exit code is the shell's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Setup

if os.name != "posix":
    pytest.skip("signals as of POSIX", allow_module_level=True)

_INTERRUPTED = """
import os, signal, sys
from {module} import {owner} as owner
before = owner.{name}
calls = 0

def interrupted(*args, **kwargs):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGINT)
    return before(*args, **kwargs)

owner.{name} = interrupted
from s3_retriever.cli import main
main()
"""
"""The command in a process that gets the signal when something is called for the n-th time."""


def interrupt(
    at: tuple[str, str, str], call: int, *arguments: object
) -> subprocess.CompletedProcess[str]:
    module, owner, name = at
    code = _INTERRUPTED.format(module=module, owner=owner, name=name, call=call)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode in (130, -signal.SIGINT), done.stderr
    assert "Traceback" not in done.stderr
    return done


READING = ("s3_retriever.models.first_layers", "FirstLayers", "read_keys")
ASKING = ("s3_retriever.models.transformers", "TransformersModel", "read_queries")


def test_what_was_read_is_kept(run: Run, setup: Setup, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(40):
        (files / f"{number:02}.txt").write_text(f"{number}. " + "The mill was built. " * 60)
    place = ["--index", tmp_path / "index", *setup.resident]
    done = interrupt(READING, 3, "index", files, "--root", files, *place)
    assert "interrupted: what was read is kept" in done.stderr
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("interrupted"))
    kept = int(said.partition(" holds ")[2].split()[0])
    assert 0 < kept < 40
    again = run("index", files, "--root", files, *place)
    assert f"{40 - kept} added, 0 updated, {kept} unchanged" in again.stdout


@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_question(setup: Setup, command: str) -> None:
    options = ["--index", setup.index, *setup.resident]
    done = interrupt(ASKING, 1, command, "When was the lighthouse finished?", *options)
    assert done.stderr.splitlines()[-1] == "interrupted"


def test_an_answer_that_is_being_written(setup: Setup) -> None:
    options = ["--index", setup.index, *setup.resident]
    at = ("s3_retriever.cli", "display", "visible")
    done = interrupt(at, 2, "ask", "When was the lighthouse finished?", *options)
    assert done.stderr.splitlines()[-1] == "interrupted"
