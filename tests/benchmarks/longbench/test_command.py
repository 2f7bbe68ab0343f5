"""``s3-retriever-bench longbench`` with a small random model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner, Result

from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("longbench")
    llm = tiny_llm(max_position_embeddings=2048)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm)
    return ["--profile", str(profile), "--model", str(root / "model"), "--device", "cpu"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [
        {"_id": f"{task}{n}", "dataset": task, "input": "When?", "context": TEXT * 4, "answers": a}
        for n, a in enumerate((["1887"], ["1911"], ["a week"]))
        for task in ("multifieldqa_en", "multi_news")
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["longbench", *map(str, arguments)])


def test_the_table_is_printed_and_written(
    data: Path, resident: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_retriever_bench.cli.longbench._MINUTE", 1e-9)  # look after every answer
    out = tmp_path / "out"
    asked = ["--data", data, "--out", out, "--budget", 80, "--limit", 1, "--shots", 1]
    result = run(*asked, "--methods", "full,h2o,s3-fast", *resident)
    assert result.exit_code == 0, result.output
    page = (out / "table.md").read_text()
    assert page.strip() in result.stdout
    assert "| method | MF-en | MultiNews | Avg | retention % | s3 less it |" in page
    assert "(1-shot)" in page
    found = json.loads((out / "table.json").read_text())
    assert found["counted"] == {"multifieldqa_en": 1, "multi_news": 1}
    assert list(found["methods"]) == ["full", "h2o", "s3-fast"]
    assert found["settings"]["budget"] == 80
    progress = [f"{done} of 6 answers, about " for done in range(1, 7)]
    assert all(line in result.stderr for line in progress)
    lines = (out / "answers.jsonl").read_bytes()

    again = run(*asked, "--methods", "full,h2o,s3-fast", *resident)
    assert again.exit_code == 0
    assert (out / "answers.jsonl").read_bytes() == lines
    assert (out / "table.md").read_text() == page  # the same answers, the same table

    other = run(*asked[:4], "--budget", 96, "--limit", 1, "--methods", "full", *resident)
    assert other.exit_code == 2
    assert "budget: 80 there, now 96" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "full,h3o"], "unknown methods h3o; known: full, streaming-llm"),
        (["--tasks", "qaspar"], "unknown tasks qaspar; known: narrativeqa"),
        (["--tasks", "qasper"], "no record of qasper"),
        (["--budget", "64"], "65"),
    ],
)
def test_mistakes_are_found_before_a_model_is_loaded(
    data: Path, arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = run("--data", data, "--out", tmp_path / "out", *arguments, "--model", "no/where")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
