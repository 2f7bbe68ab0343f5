"""Layers one after the other: cut codes are those of fewer layers, and all figures are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from s3_retriever_bench.analyses.cut_codes import cut_codes, cut_profile
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine import Engine
from s3_retriever.types import Document
from tests.labels.test_datasets import KEPT, OTHER, write


def test_cut_codes_are_those_of_the_cut_profile(resident: list[str]) -> None:
    engine = Engine.from_profile(resident[1], model=resident[3], device="cpu")
    document = Document("a", "The lamp burned oil until 1911.")
    coded = list(Scanner(engine.llm, engine.profile, engine.scan_settings).scan([document]))
    profile = cut_profile(engine.profile, [1], 2)
    assert [h.layer for h in profile.card.hookpoints] == [2]
    assert profile.card.heads == ()  # the one head reads layer 1
    [cut] = cut_codes(coded, [1], 2)
    [read] = Scanner(engine.llm, cut_profile(engine.profile, [1]), engine.scan_settings).scan(
        [document]
    )
    np.testing.assert_array_equal(cut.ids, read.ids[:, :, :2])
    np.testing.assert_array_equal(cut.activations, read.activations[:, :, :2])
    assert cut_profile(engine.profile, [0]).card.heads == engine.profile.card.heads


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", KEPT, {**OTHER, "answers": ["There"]})
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", str(figures), "--plot", str(picture)]
    asked = ["layers", "--data", str(data), "--budget", "20"]
    result = CliRunner().invoke(app, [*asked, *out, *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["layers"] == [[1], [1, 2]]
    rows = {(row["scoring"], row["last_layer"]): row for row in found["rows"]}
    assert set(rows) == {(s, n) for s in ("Eq. 7", "attention") for n in "12"} | {("full", "")}
    for (scoring, _), row in rows.items():
        assert ("evidence_recall" in row) == (scoring != "full")
        assert row["nll"]["mean"] > 0
        assert 0 <= row["f1"]["mean"] <= 1
    assert picture.read_bytes().startswith(b"\x89PNG")
