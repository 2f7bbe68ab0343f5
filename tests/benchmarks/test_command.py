"""``s3-retriever-bench retrieval`` with a small random model: all is real but the quality."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner, Result

from tests.labels.test_datasets import KEPT, OTHER, write
from tests.tiny import tiny_llm, write_profile

INTERVAL = {"mean", "low", "high"}


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that choose a model and a profile without query heads."""
    root = tmp_path_factory.mktemp("evaluate")
    llm = tiny_llm(max_position_embeddings=4096)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm, heads=())
    return ["--profile", str(profile), "--model", str(root / "model"), "--device", "cpu"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data.jsonl", KEPT, OTHER)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["retrieval", *map(str, arguments)])


@pytest.mark.parametrize("setting", ["distractor", "corpus"])
def test_figures_page_and_picture_are_written(
    data: Path, resident: list[str], setting: str, tmp_path: Path
) -> None:
    out = [tmp_path / name for name in ("out.json", "out.md", "out.png")]
    files = ["--json", out[0], "--report", out[1], "--plot", out[2]]
    asked = ["--setting", setting, "--budgets", "40,12", "--methods", "bm25,s3-attention,s3"]
    result = run("--data", data, *asked, *files, *resident)
    assert result.exit_code == 0, result.output
    found = json.loads(out[0].read_text())
    about = {key: found[key] for key in ("data", "setting", "n", "seed", "profile", "budgets")}
    assert about == {
        "data": "data.jsonl",
        "setting": setting,
        "n": 2,
        "seed": 0,
        "profile": "tiny",
        "budgets": [12, 40],
    }
    assert list(found["methods"]) == ["bm25", "s3-attention", "s3"]
    for name in ("bm25", "s3"):
        figures = found["methods"][name]
        for metric in ("evidence_recall", "all_evidence", "answer_recall"):
            assert {budget: set(v) for budget, v in figures[metric].items()} == {
                "12": INTERVAL,
                "40": INTERVAL,
            }
        assert set(figures["passage_recall"]) == {"2", "5"}
        assert figures["tokens_used"]["12"] <= 12
        assert figures["tokens_used"]["40"] <= 40
        assert figures["index_seconds"] > 0
    # a profile without query heads cannot score by attention: a row with the reason
    assert "no query heads" in found["methods"]["s3-attention"]["skipped"]
    assert found["comparisons"]["40"]["best_peer"] == "bm25"
    assert set(found["comparisons"]["40"]["s3"]) == INTERVAL
    assert out[1].read_text().strip() == result.stdout.strip()
    assert out[2].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "bm25,bm52"], "unknown methods bm52; known: bm25"),
        (["--budgets", "64,none"], "--budgets takes e.g. 64,256"),
        (["--budgets", "0"], "--budgets takes e.g. 64,256"),
        (["--json", "missing/out.json"], "its folder does not exist"),
        (["--plot", "missing/out.png"], "its folder does not exist"),
    ],
)
def test_mistakes_are_found_before_the_model_is_loaded(
    data: Path, arguments: list[str], message: str
) -> None:
    result = run("--data", data, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "loading" not in result.stderr


def test_graded_data_has_nothing_to_plot(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "corpus.jsonl", {"_id": "d", "title": "", "text": "Bread rises."})
    write(tmp_path / "queries.jsonl", {"_id": "q", "text": "bread"})
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    picture = tmp_path / "out.png"
    result = run("--data", tmp_path, "--setting", "corpus", "--plot", picture)
    assert result.exit_code == 2
    assert "labels no evidence" in " ".join(result.stderr.split())


@pytest.mark.parametrize("package", ["rank_bm25", "matplotlib"])
def test_a_missing_package_is_named_with_what_brings_it(
    data: Path,
    resident: list[str],
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    asked = ["--budgets", "12", "--methods", "bm25,tantivy-bm25", "--plot", tmp_path / "out.png"]
    result = run("--data", data, *asked, *resident)
    said = " ".join((result.stdout + result.stderr).split())
    assert "pip install s3-retriever-bench" in said
    if package == "matplotlib":
        assert result.exit_code == 2
        assert "loading" not in result.stderr
    else:  # the others are still measured
        assert result.exit_code == 0
        assert "| bm25 | skipped: rank-bm25 is not installed" in result.stdout
        assert "| tantivy-bm25 | 0." in result.stdout
