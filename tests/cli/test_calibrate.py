"""``calibrate``: with the real model from a file to a profile, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from s3_retriever.engine import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.types import Document
from tests.cli.conftest import Run, Setup

TEXTS = {
    "Skerry Point": "The lighthouse on Skerry Point was finished in 1887. Its first keeper was "
    "Agnes Tullis, who stayed for thirty years.",
    "Sourdough": "Sourdough needs no bought yeast. Flour and water are left to ferment for about "
    "a week before the first loaf is baked.",
    "Comet Hargreave": "Comet Hargreave returns every 41 years. It was first seen in 1902 by an "
    "observatory in Chile.",
    "Marram grass": "Marram grass holds the dunes together. Its roots reach several metres down "
    "to the water.",
}
QUESTIONS = {
    "Who was the first keeper of the lighthouse?": "Skerry Point",
    "How often does Comet Hargreave come back?": "Comet Hargreave",
    "How long must flour and water ferment for sourdough?": "Sourdough",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three multi-hop records of four paragraphs, one of which is gold."""
    records = [
        {
            "id": f"q{number}",
            "question": question,
            "answers": [],
            "paragraphs": [
                {"title": title, "text": text, "is_supporting": title == gold}
                for title, text in TEXTS.items()
            ],
        }
        for number, (question, gold) in enumerate(QUESTIONS.items())
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_real_model_from_questions_to_a_profile(run: Run, data: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "profile", tmp_path / "out.json"
    result = run("calibrate", "--data", data, "--heads", 3, "--json", figures, "--out", out)
    assert result.exit_code == 0, result.output
    record = read(figures)
    assert (record["n"], record["chance"], record["labels"]) == (3, 0.25, True)
    assert len(record["ranking"]) == 30 * 9
    coded = {(h["layer"], h["head"]) for h in record["ranking"] if h["coded"]}
    assert coded == {(17, 3), (17, 4), (17, 5), (18, 6), (18, 7), (18, 8)}
    assert record["cross_validated"]["equal"]["mean"] > record["chance"]

    shipped, found = Profile.load("smollm2-135m-instruct"), Profile.load(out)
    assert found.card == shipped.card.model_copy(update={"heads": found.card.heads})
    assert [h.model_dump() for h in found.card.heads] == record["heads"]
    assert {(h.layer, h.head) for h in found.card.heads} <= coded
    engine = Engine.from_profile(out, dtype=torch.float32)  # bfloat16 rounds as the CPU likes
    engine.add([Document(title, text) for title, text in TEXTS.items()])
    spans = engine.retrieve("Who was the first keeper?", max_tokens=40, mode="features")
    assert "Agnes Tullis" in spans[0].text

    lines = result.stdout.splitlines()
    assert "on 3 questions" in lines[0]
    assert "0.250" in lines[0]
    best = record["ranking"][0]
    assert lines[2].split()[:2] == [
        f"{best['layer']}.{best['head']}",
        f"{best['r_precision']['mean']:.3f}",
    ]
    assert f"Taken: {record['weighting']} weights" in result.stdout
    assert f"--profile {out}; indexes made with smollm2-135m-instruct stay valid" in result.stdout


class TestWithASmallModel:
    def test_plain_text_instead_of_labels(self, run: Run, setup: Setup, tmp_path: Path) -> None:
        folder = tmp_path / "text"
        folder.mkdir()
        for number in range(12):
            text = "\n".join(f"Town {number} has {n} mills on its river." for n in range(3))
            (folder / f"{number}.md").write_text(text)
        figures = tmp_path / "out.json"
        options = ["--limit", 4, "--json", figures, *setup.resident]
        result = run("calibrate", "--text", folder, *options)
        assert result.exit_code == 0, result.output
        record = read(figures)
        assert (record["n"], record["labels"]) == (4, False)
        assert record["chance"] == pytest.approx(0.1)
        assert record["profile"] == "tiny"

    def test_what_is_not_coded_and_better_comes_with_a_command(
        self, run: Run, setup: Setup, data: Path, tmp_path: Path
    ) -> None:
        figures = tmp_path / "out.json"
        options = ["--heads", 18, "--json", figures, *setup.resident]
        result = run("calibrate", "--data", data, *options)
        assert result.exit_code == 0, result.output
        assert "needs --layers" in result.stdout
        record = read(figures)
        assert len(record["heads"]) <= 6  # as many as there are
        coded = [h["r_precision"]["mean"] for h in record["ranking"] if h["coded"]]
        others = [h["r_precision"]["mean"] for h in record["ranking"] if not h["coded"]]
        assert max(others) > min(coded)  # as it is with this random model
        assert record["train"] in result.stdout
        assert record["train"].startswith("s3-retriever train --model")

    def test_an_index_opens_with_the_new_profile(
        self, run: Run, setup: Setup, data: Path, own_index: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "new"
        result = run("calibrate", "--data", data, "--out", out, *setup.resident)
        assert result.exit_code == 0, result.output
        options = ["--profile", out, "--model", setup.model, "--device", "cpu", "--json"]
        result = run("search", "When was it finished?", "--index", own_index, *options)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["spans"]


def test_an_adapter_is_distilled_and_used(
    run: Run, data: Path, tmp_path: Path, llm: TransformersModel
) -> None:
    lines = data.read_text().splitlines()
    data.write_text(
        "\n".join(line.replace('"id": "q', f'"id": "{n}q') for n in range(4) for line in lines)
    )
    out, figures = tmp_path / "profile", tmp_path / "out.json"
    result = run("calibrate", "--distill", "--data", data, "--json", figures, "--out", out)
    assert result.exit_code == 0, result.output
    record = read(figures)
    assert record["n_held_out"] == 3
    assert len(record["losses"]) == 13
    assert f"after epoch {record['epoch']}" in result.stdout
    shipped, found = Profile.load("smollm2-135m-instruct"), Profile.load(out)
    assert found.adapter is not None
    assert found.card.heads == shipped.card.heads
    assert found.card.fingerprint == shipped.card.fingerprint
    engine = Engine(llm, found)
    engine.add([Document(title, text) for title, text in TEXTS.items()])
    assert engine.retrieve("Who was the first keeper?", max_tokens=40, mode="features")


def test_weights_of_the_legs(run: Run, data: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "profile", tmp_path / "out.json"
    result = run("calibrate", "--fusion", "--data", data, "--json", figures, "--out", out)
    assert result.exit_code == 0, result.output
    record = read(figures)
    assert (record["n"], record["budget"]) == (3, 256)
    # four short paragraphs fit the budget whatever the weights are
    assert record["lead"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert "Taken: the given weights, as the lead is no more than noise" in result.stdout
    assert Profile.load(out).card.retrieve is None


class TestRefusals:
    def refused(self, result: Result) -> str:
        assert result.exit_code == 2
        assert result.stdout == ""
        return " ".join(result.stderr.split())

    def test_neither_or_both_of_data_and_text(self, run: Run, data: Path) -> None:
        for options in ([], ["--data", data, "--text", data]):
            said = self.refused(run("calibrate", *options))
            assert "give either --data (labelled questions) or --text" in said

    def test_what_does_not_go_together(self, run: Run, data: Path) -> None:
        said = self.refused(run("calibrate", "--distill", "--fusion", "--data", data))
        assert "give either --distill or --fusion" in said
        said = self.refused(run("calibrate", "--fusion", "--text", data))
        assert "--fusion needs --data" in said

    def test_too_little_text(self, run: Run, tmp_path: Path) -> None:
        text = tmp_path / "short.txt"
        text.write_text("One is here. Two is there. Three is gone.")
        said = self.refused(run("calibrate", "--text", text))
        assert "paragraphs of at least 3 sentences in the text: 1; 10 are needed" in said
        said = self.refused(run("calibrate", "--text", tmp_path / "none"))
        assert "there is no such file or folder" in said

    def test_one_question_is_not_enough(
        self, run: Run, setup: Setup, data: Path, tmp_path: Path
    ) -> None:
        data.write_text(data.read_text().splitlines()[0])
        out = tmp_path / "profile"
        said = self.refused(run("calibrate", "--data", data, "--out", out, *setup.resident))
        assert "at least 2 are needed" in said
        assert not out.exists()

    def test_where_nothing_can_be_written(self, run: Run, data: Path, tmp_path: Path) -> None:
        said = self.refused(run("calibrate", "--data", data, "--out", tmp_path))
        assert "exists; give --out a new folder" in said
        said = self.refused(run("calibrate", "--data", data, "--json", tmp_path / "a" / "b.json"))
        assert "its folder does not exist" in said
