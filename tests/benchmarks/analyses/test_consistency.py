"""Chunks against one pass: exact where nothing can differ, and the sinks are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from s3_retriever_bench.analyses.consistency import _iou, jaccard, measure_consistency
from s3_retriever_bench.analyses.joined import join
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.datasets import load_collections
from s3_retriever.types import Document
from tests.labels.test_datasets import KEPT, OTHER, write
from tests.tiny import tiny_llm


def context(text: str, evidence: str) -> Collection:
    at = text.index(evidence)
    place = Place("context", at, at + len(evidence))
    return Collection((Document("context", text),), (Question(evidence, "Q?", evidence=(place,)),))


def test_joined_documents_keep_the_evidence_and_are_full() -> None:
    llm = tiny_llm()
    texts = [f"Text {n}. Evidence {n} stands here." for n in range(7)]
    collections = [context(t, f"Evidence {n}") for n, t in enumerate(texts)]
    joined = list(join(collections, llm, 60))
    assert len(joined) > 1
    for one in joined:
        for question in one.questions:
            assert one.text(question.evidence[0]) == question.id
    sizes = [llm.count_tokens(one.documents[0].text) for one in joined]
    assert set(sizes[:-1]) == {60}
    assert sizes[-1] <= 60
    asked = [question.id for one in joined for question in one.questions]
    assert asked == [f"Evidence {n}" for n in range(7)]


def test_a_context_longer_than_a_document_is_passed_over() -> None:
    long, short = context("word " * 50 + "Gold.", "Gold."), context("Gold here.", "Gold")
    [one] = join([long, short], tiny_llm(), 40)
    assert [question.id for question in one.questions] == ["Gold"]


def test_jaccard_counts_active_features_only() -> None:
    a = np.array([[1, 2, 0], [5, 6, 0]])
    b = np.array([[2, 3, 0], [5, 6, 0]])
    on = np.array([[True, True, False], [True, True, False]])
    assert jaccard((a, on), (b, on)) == pytest.approx((1 / 3 + 1) / 2)


def test_iou() -> None:
    a, b = np.array([1, 1, 0, 0], dtype=bool), np.array([0, 1, 1, 0], dtype=bool)
    assert _iou(a, b) == pytest.approx(1 / 3)
    assert _iou(a & False, b & False) == 1.0


def test_a_chunk_as_long_as_the_document_changes_nothing(
    resident: list[str], tmp_path: Path
) -> None:
    engine = Engine.from_profile(resident[1], model=resident[3], device="cpu")
    collections = load_collections(write(tmp_path / "data.jsonl", KEPT, OTHER))
    found = measure_consistency(engine, collections, sizes=[16, 1000], budget=20)
    for variant in ("published", "without sinks", "shipped"):
        whole, small = found["variants"][variant]["1000"], found["variants"][variant]["16"]
        for metric, best in (("k_cosine", 1), ("jaccard", 1), ("iou_attention", 1)):
            assert whole[metric]["worst"] == pytest.approx(best)
        assert whole["relative_error"]["worst"] == pytest.approx(0, abs=1e-5)
        assert small["k_cosine"]["mean"] < 0.9999
    recalls = found["evidence_recall"]["attention"]["shipped"]
    assert recalls["1000"] == recalls["full"]
    assert found["sinks"]["1000"] == pytest.approx(np.mean([4 / n for n in found["tokens"]]))


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", KEPT, OTHER)
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", str(figures), "--plot", str(picture)]
    asked = ["--data", str(data), "--sizes", "32,16", "--tokens", "400", "--budget", "20"]
    result = CliRunner().invoke(app, ["consistency", *asked, *out, *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["sizes"] == [16, 32]
    assert found["questions"] == 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "| K cosine | without sinks |" in result.stdout


def test_a_document_longer_than_the_window_is_refused(resident: list[str], tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", KEPT)
    asked = ["--data", str(data), "--tokens", "9000"]
    result = CliRunner().invoke(app, ["consistency", *asked, *resident])
    assert result.exit_code == 2
    assert "the model takes" in " ".join(result.stderr.split())
