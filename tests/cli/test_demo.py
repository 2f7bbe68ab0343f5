"""The demo and what it is made of."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from s3_retriever.cli import demo as module
from s3_retriever.cli.demo import (
    SampleQuestion,
    sample_documents,
    sample_questions,
    sample_text,
)
from s3_retriever.profiles.cards import shipped_profiles
from s3_retriever.types import Span
from tests.cli.conftest import Run, Setup

SAMPLES = Path(module.__file__).parents[1] / "data" / "samples"
TEXTS = {d.id: d.text for d in sample_documents()}


class TestSamples:
    def test_there_is_enough_to_search(self) -> None:
        assert len(sample_text()) >= 100_000
        assert all(text.startswith("# ") for text in TEXTS.values())

    def test_every_file_is_attributed(self) -> None:
        licence = (SAMPLES / "LICENSE.md").read_text()
        assert "CC BY-SA 4.0" in licence
        assert all(f"`{name}`" in licence for name in TEXTS)

    def test_every_answer_stands_in_its_document(self) -> None:
        questions = sample_questions()
        assert len(questions) == 5
        for question in questions:
            assert question.answer in TEXTS[question.document]

    def test_an_answer_is_looked_for_in_one_span_at_a_time(self) -> None:
        question = SampleQuestion("?", "Whale oil", "x")

        def spans(*texts: str) -> list[Span]:
            return [Span("x", 0, len(t), t, 1.0, {}, 0) for t in texts]

        assert question.answered_by(spans("no", "burned whale oil until"))
        assert not question.answered_by(spans("burned whale", "oil until"))
        assert not question.answered_by([])


@pytest.fixture
def small_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two short documents in place of the shipped ones."""
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "light.txt").write_text("# Light\n\nThe lamp burned whale oil. It was bright.\n")
    (folder / "bread.txt").write_text("# Bread\n\nSourdough ferments for about a week.\n")
    records = [
        {"question": "What fed the flame?", "answer": "whale oil", "document": "light.txt"},
        {"question": "How long is a dough left?", "answer": "a week", "document": "bread.txt"},
    ]
    (folder / "questions.json").write_text(json.dumps(records))
    monkeypatch.setattr(module, "_samples", lambda: folder)


def test_a_small_demo(run: Run, setup: Setup, small_samples: None, tmp_path: Path) -> None:
    index = tmp_path / "demo"
    result = run("demo", "--dir", index, *setup.resident)
    assert result.exit_code == 0
    shown = result.stdout
    for expected in ("What fed the flame?", "How long is a dough left?", "2 Wikipedia articles"):
        assert expected in shown
    assert shown.count("holds the known answer") + shown.count("does not hold the") >= 4
    compared = shown[shown.index("attention, words  ") :]
    (header, *rows) = compared.splitlines()[:5]
    assert header.split("  ")[0] == "attention, words"
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "What fed the flame?",
        "How long is a dough left?",
        "found, or written",
        "to find the spans (median)",
    ]
    assert "2 of 2" in rows[2]
    assert f"--index {index}" in shown
    assert "tokens/s" in shown
    again = run("demo", "--dir", index, "--quick", *setup.resident)
    assert "no tokens to read" in again.stdout


def test_nothing_is_left_behind(
    run: Run, setup: Setup, small_samples: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    result = run("demo", "--quick", *setup.resident)
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "--dir my-demo" in result.stdout
    assert str(tmp_path) not in result.stdout.replace(str(setup.profile), "")


@pytest.mark.slow
@pytest.mark.skipif(
    "smollm2-135m-instruct" not in shipped_profiles(), reason="the profile is not made yet"
)
def test_the_shipped_profile_finds_what_a_stranger_is_shown(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--quick", "--dir", tmp_path / "demo")
    assert result.exit_code == 0
    (found,) = (line for line in result.stdout.splitlines() if "found, or written" in line)
    assert found.startswith("2 of 2")
