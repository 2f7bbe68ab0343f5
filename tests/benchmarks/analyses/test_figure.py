"""The figure: the five questions follow the rule, and each panel's ranks are those of its text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from s3_retriever_bench.analyses.figure import Chosen, _five
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner, Result

from s3_retriever.labels.collections import Collection, Question
from s3_retriever.types import Document
from tests.labels.test_datasets import KEPT, OTHER, write

CONTEXT = Path(__file__).parents[2] / "data" / "contexts" / "tom-hanks.txt"
ASKED = "Which film starring Tom Hanks was directed by Steven Spielberg?"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["figure", *map(str, arguments)])


def measured(name: str, s3: float, dense: float) -> Chosen:
    collection = Collection((Document("context", name),), (Question(name, name),))
    return Chosen("", collection, s3, dense)


def test_the_rule() -> None:
    drawn = [("a", 0.5, 0.5), ("b", 0.0, 1.0), ("c", 1.0, 0.0), ("d", 0.5, 1.0)]
    drawn += [("e", 0.6, 0.5), ("f", 1.0, 0.0), ("g", 1.0, 0.0)]
    five = list(_five([measured(*one) for one in drawn]))
    found = [(one.why, one.question.id) for one in five]
    # differences: a 0, b -1, c 1, d -0.5, e 0.1, f 1, g 1; c and f are drawn before g
    assert found == [("win", "c"), ("win", "f"), ("median", "e"), ("loss", "b"), ("loss", "d")]
    assert five[0].s3 == 1.0


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    data = write(
        tmp_path / "data.jsonl",
        *({**KEPT, "id": n} for n in range(4)),
        {**OTHER, "answers": ["There"]},
    )
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", figures, "--plot", picture]
    result = run("--question", ASKED, "--context", CONTEXT, "--data", data, *out, *resident)
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["all"]["questions"] == 5
    assert [one["why"] for one in found["chosen"]] == [
        "asked",
        *("win", "win", "median", "loss", "loss"),
    ]
    for one in found["chosen"][1:]:
        for gold in one["gold"]:
            assert 1 <= gold["density"] <= gold["of"]
            assert 1 <= gold["dense"] <= gold["of"]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--question", ASKED], "belong together"),
        ([], "give --question and --context, or --data"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
