"""Tokens a second by number of Ray workers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from s3_retriever_bench.cli.app import app
from s3_retriever_bench.workers_bench import bench_workers
from typer.testing import CliRunner

from s3_retriever.encoding.runners import ScanPlan
from s3_retriever.errors import InputError
from tests.tiny import tiny_llm, write_profile


@pytest.mark.slow  # four workers load a model
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    llm = tiny_llm()
    llm.model.save_pretrained(tmp_path / "model")
    llm.tokenizer.save_pretrained(tmp_path / "model")
    profile = write_profile(tmp_path / "profile", llm)
    asked = ["--rounds", "2", "--repeats", "1", "--batch-tokens", "64", "--json"]
    resident = ["--profile", str(profile), "--model", str(tmp_path / "model"), "--device", "cpu"]
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # for the paths of sockets
        monkeypatch.setenv("RAY_TMPDIR", short)
        done = CliRunner().invoke(app, ["workers", *asked, *resident])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found["tokens_per_s"]) == {"1", "2"}
    assert found["ratio"]["1"] == 1
    assert all(rate > 0 for rates in found["runs"].values() for rate in rates)


def test_a_run_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        bench_workers(ScanPlan("smollm2-135m-instruct"), "Text.", [1], rounds_each=0)
