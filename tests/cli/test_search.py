"""``search`` and ``ask``: what is printed for people, and the JSON for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3_retriever.readers import read_files
from s3_retriever.retrieval import presets
from s3_retriever.retrieval.presets import Preset, mode_names, preset_named, register_preset
from tests.cli.conftest import Run, Setup

QUESTION = "When was the lighthouse finished?"


@pytest.fixture(scope="module")
def record(run: Run, setup: Setup) -> dict[str, Any]:
    """What ``search --json`` prints."""
    result = run("search", QUESTION, "--index", setup.index, "--json", *setup.resident)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


class TestSearchJson:
    def test_its_fields(self, record: dict[str, Any], setup: Setup) -> None:
        assert set(record) == {"question", "index", "profile", "spans", "ms"}
        assert record["question"] == QUESTION
        assert record["index"] == str(setup.index)
        assert record["profile"] == "tiny"
        assert record["ms"] > 0
        assert [span["rank"] for span in record["spans"]] == list(range(len(record["spans"])))

    def test_offsets_lead_to_the_text_of_the_files(
        self, record: dict[str, Any], setup: Setup
    ) -> None:
        texts = {d.id: d.text for d in read_files([setup.files], root=setup.files).documents}
        assert record["spans"]
        for span in record["spans"]:
            assert texts[span["doc_id"]][span["start"] : span["end"]] == span["text"]
            assert span["id"] == f"{span['doc_id']}:{span['start']}-{span['end']}"
            assert span["scores"]

    def test_a_filter(self, run: Run, setup: Setup) -> None:
        only = json.dumps({"title": "A comet"})
        options = ["--index", setup.index, "--json", "--filter", only]
        result = run("search", QUESTION, *options, *setup.resident)
        spans = json.loads(result.stdout)["spans"]
        assert {span["doc_id"] for span in spans} == {"sky/comet.html"}

    def test_most_spans_and_budget(self, run: Run, setup: Setup) -> None:
        one = run("search", QUESTION, "--index", setup.index, "--json", "-k", 1, *setup.resident)
        assert len(json.loads(one.stdout)["spans"]) == 1
        options = ["--index", setup.index, "--json", "--max-tokens", 5]
        small = run("search", QUESTION, *options, *setup.resident)
        assert all(len(s["text"]) <= 20 for s in json.loads(small.stdout)["spans"])

    @pytest.mark.parametrize(("mode", "leg"), [("bm25", "bm25"), ("features", "features")])
    def test_a_mode_is_one_leg(self, run: Run, setup: Setup, mode: str, leg: str) -> None:
        options = ["--index", setup.index, "--json", "--mode", mode]
        result = run("search", QUESTION, *options, *setup.resident)
        spans = json.loads(result.stdout)["spans"]
        assert spans
        assert all(set(span["scores"]) == {leg} for span in spans)

    def test_either_scoring(self, run: Run, setup: Setup) -> None:
        for scoring in ("attention", "coactivation"):
            options = ["--index", setup.index, "--json", "--scoring", scoring]
            result = run("search", QUESTION, *options, *setup.resident)
            assert json.loads(result.stdout)["spans"]


class TestSearchForPeople:
    def test_ids_scores_and_text_with_marks(
        self, run: Run, setup: Setup, record: dict[str, Any]
    ) -> None:
        result = run("search", QUESTION, "--index", setup.index, *setup.resident)
        assert result.exit_code == 0
        assert "«" in result.stdout
        for span in record["spans"]:
            assert span["id"] in result.stdout
            assert f"score {span['score']:.4f}" in result.stdout
        assert f"{len(record['spans'])} spans" in result.stdout.splitlines()[-1]

    def test_nothing_found(self, run: Run, setup: Setup) -> None:
        options = ["--index", setup.index, "--filter", '{"title": "none such"}']
        result = run("search", QUESTION, *options, *setup.resident)
        assert result.exit_code == 0
        assert "nothing was found" in result.stdout


class TestAsk:
    def test_for_people(self, run: Run, setup: Setup) -> None:
        options = ["--index", setup.index, "--answer-tokens", 8]
        result = run("ask", QUESTION, *options, *setup.resident)
        assert result.exit_code == 0
        assert result.stdout.strip()

    def test_json(self, run: Run, setup: Setup) -> None:
        options = ["--index", setup.index, "--answer-tokens", 8, "--json", "--max-tokens", 60]
        result = run("ask", QUESTION, *options, *setup.resident)
        assert result.exit_code == 0
        record = json.loads(result.stdout)
        assert list(record) == [
            "question",
            "index",
            "profile",
            "answer",
            "citations",
            "spans",
            "ms",
        ]
        assert set(record["citations"]) <= {span["id"] for span in record["spans"]}

    def test_an_answer_that_does_not_fit(self, run: Run, setup: Setup) -> None:
        options = ["--index", setup.index, "--answer-tokens", 5000]
        result = run("ask", QUESTION, *options, *setup.resident)
        assert result.exit_code == 2
        assert "window" in result.stderr


class TestMode:
    def test_help_and_error_name_every_mode(self, run: Run, setup: Setup) -> None:
        shown = " ".join(run("search", "--help").stdout.replace("│", " ").split())
        wrong = run("search", QUESTION, "--index", setup.index, "--mode", "magic", *setup.resident)
        assert wrong.exit_code == 2
        for name in mode_names():
            assert name in wrong.stderr
            assert f"{name}: {preset_named(name).summary}" in shown

    def test_a_preset_from_outside_is_a_mode(
        self, run: Run, setup: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presets, "_PRESETS", dict(presets._PRESETS))
        preset = Preset("words and edges", {"bm25": 1.0, "lead_tail": 1.0}, summary="no features")
        register_preset(preset)
        assert "no features" in run("ask", "--help").stdout
        options = ["--index", setup.index, "--json", "--mode", preset.name]
        result = run("search", QUESTION, *options, *setup.resident)
        spans = json.loads(result.stdout)["spans"]
        assert {leg for span in spans for leg in span["scores"]} <= {"bm25", "lead_tail"}
        assert spans
