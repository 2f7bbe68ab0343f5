"""Recordings of a small random model: the same again, and what a comparison says of others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_retriever_bench.cli.app import app
from s3_retriever_bench.record import compare, question_sets
from typer.testing import CliRunner, Result

from s3_retriever.cli.demo import sample_documents
from s3_retriever.errors import InputError
from s3_retriever.retrieval.presets import mode_names
from tests.labels.test_datasets import KEPT, OTHER, write
from tests.tiny import tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def one_sample() -> Iterator[None]:
    """One of the sample documents is enough to see what is written."""
    first = sample_documents()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3_retriever_bench.record.sample_documents", lambda: first)
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, one_sample: None) -> list[str]:
    """A model with a profile, and two questions of each of two sets."""
    root = tmp_path_factory.mktemp("record")
    llm = tiny_llm(max_position_embeddings=4096)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm)
    data = write(root / "data.jsonl", KEPT, OTHER)
    asked = ["--data", str(data), "--limit", "2", "--max-tokens", "60"]
    return [*asked, "--profile", str(profile), "--model", str(root / "model"), "--device", "cpu"]


@pytest.fixture(scope="module")
def recording(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "before.json"
    result = run("--modes", "features,bm25", *options, "--json", path)
    assert result.exit_code == 0, result.output
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["record", *map(str, arguments)])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def changed(recording: Path, path: Path, change: Change) -> Path:
    """A copy in which the last result with two spans at least is another."""
    found = read(recording)
    change(next(r for r in reversed(found["results"]) if len(r["spans"]) > 1))
    path.write_text(json.dumps(found))
    return path


def test_questions_of_the_samples_are_as_many_as_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("s3_retriever_bench.record.sample_documents", sample_documents)  # all
    [samples] = question_sets([], limit=30)
    assert len(set(samples.questions)) == 30
    assert samples.questions[0].startswith("Who was the first explorer")
    assert any(samples.questions[29] in document.text for document in samples.documents)


def test_every_mode_scoring_and_question_is_there(options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    result = run(*options, "--json", path)
    assert result.exit_code == 0, result.output
    found = read(path)
    assert found["made_with"] == {"profile": "tiny", "max_tokens": 60}
    assert found["made_on"]["device"] == "cpu"
    ways = {(r["set"], r["mode"], r["scoring"]) for r in found["results"]}
    scored = {(m, s) for m in mode_names() for s in ("attention", "coactivation") if m != "bm25"}
    scored |= {("bm25", ""), ("compress", "")}
    assert ways == {(name, *way) for name in ("samples", "data") for way in scored}
    assert len(found["results"]) == 2 * len(ways)
    assert all(r["spans"] for r in found["results"] if r["set"] == "samples")
    for one in found["results"]:
        for span in one["spans"]:
            assert set(span) == {"id", "score", "scores"}


def test_the_same_again(recording: Path, options: list[str]) -> None:
    result = run("--modes", "features,bm25", *options, "--compare", recording)
    assert result.exit_code == 0, result.output
    assert "16 results: 0 with other spans, 0 with scores that differ" in result.stdout


def test_other_spans_are_an_error_and_other_scores_are_named(
    recording: Path, options: list[str], tmp_path: Path
) -> None:
    def swap(result: dict[str, Any]) -> None:
        result["spans"][:2] = result["spans"][1::-1]

    def scale(result: dict[str, Any]) -> None:
        result["spans"][1]["score"] *= 1.01

    again = ["--modes", "features,bm25", *options, "--compare"]
    result = run(*again, changed(recording, tmp_path / "swapped.json", swap))
    assert result.exit_code == 1
    assert "other spans: data, compress: " in result.stdout
    assert "16 results: 1 with other spans, 0 with scores" in result.stdout
    other = changed(recording, tmp_path / "scaled.json", scale)
    result = run(*again, other)
    assert result.exit_code == 0
    assert "other scores, by 9.9e-03: data, compress: " in result.stdout
    within = compare(read(recording), read(other), tolerance=0.02)
    assert (within.ids, within.scores) == ((), {})
    assert within.largest == pytest.approx(0.0099, rel=0.01)


def test_what_the_comparison_looks_at(recording: Path, tmp_path: Path) -> None:
    def compared(change: Change) -> tuple[int, list[float]]:
        other = read(changed(recording, tmp_path / "other.json", change))
        found = compare(read(recording), other)
        return len(found.ids), list(found.scores.values())

    def leg(result: dict[str, Any]) -> None:
        scores = result["spans"][0]["scores"]
        scores[next(iter(scores))] *= 2

    def nudge(result: dict[str, Any]) -> None:
        result["spans"][0]["score"] *= 1.00001

    assert compared(lambda result: None) == (0, [])
    assert compared(nudge) == (0, [])
    assert compared(lambda result: result["spans"].pop()) == (1, [])
    assert compared(leg) == (0, [0.5])
    assert compared(lambda result: result["spans"][0]["scores"].clear()) == (0, [float("inf")])


def test_recordings_of_other_questions_are_not_compared(recording: Path) -> None:
    one = read(recording)
    fewer = {**one, "results": one["results"][1:]}
    with pytest.raises(InputError, match=r"not of the same questions: 16 results .* 15 results"):
        compare(one, fewer)
    with pytest.raises(InputError, match="no recording"):
        compare(one, {"results": [{}]})
    with pytest.raises(InputError, match="no recording"):
        compare(one, [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --json to keep the results, or --compare"),
        (["--json", "missing/out.json"], "its folder does not exist"),
        (["--json", "out.json", "--modes", "quick"], "unknown modes quick"),
        (["--compare", "missing.json"], "cannot be read"),
    ],
)
def test_mistakes_are_found_before_the_model_is_loaded(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "loading" not in result.stderr


def test_two_files_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [write(folder / "data.jsonl", KEPT) for folder in (tmp_path, tmp_path / "a")]
    with pytest.raises(InputError, match="the same name"):
        question_sets(paths, limit=1)
