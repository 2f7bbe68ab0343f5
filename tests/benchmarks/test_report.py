"""The page and the picture of a result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread
from s3_retriever_bench.plot import plot_recall
from s3_retriever_bench.report import report
from s3_retriever_bench.summary import Measured, summarise

from s3_retriever.errors import InputError
from tests.benchmarks.test_summary import CHUNKS, OURS, SENTENCES

ABOUT = {"data": "d.jsonl", "setting": "distractor", "seed": 7, "profile": "p", "n": 3}


def result(**methods: list[Measured]) -> dict[str, Any]:
    return {**ABOUT, "budgets": [64, 256], **summarise(methods, [64, 256], seed=0)}


def graded() -> dict[str, Any]:
    found = Measured()
    found.add({("ndcg@10", ""): 0.5, ("recall@100", ""): 1.0, ("ms", ""): 1.0})
    found.add({("tokens_used", "64"): 64, ("tokens_used", "256"): 256})
    return result(bm25=[found])


FULL = result(bm25=[SENTENCES, CHUNKS], s3=[OURS], hyde=[Measured(skipped="no | weights")])


def test_the_page_has_every_figure() -> None:
    page = report(FULL)
    assert page.startswith("# d.jsonl, distractor setting\n\n3 questions (seed 7), profile p.")
    lines = page.splitlines()
    assert "| method | 64 | 256 |" in lines
    assert "| s3 | 1.000 (1.000 to 1.000) | 0.500 (0.000 to 1.000) |" in lines
    assert "| hyde | skipped: no \\| weights |  |" in lines
    assert "| s3 | 61.0 | 250.5 |" in lines
    header = "| method | passage recall@2 | passage recall@5 | ms a question | index seconds |"
    assert header in lines
    assert any(
        line.startswith("| s3 | 1.000 (") and line.endswith("| 30 | 30.0 |") for line in lines
    )
    assert "- bm25: at 64: sentences; at 256: chunks" in lines
    assert "- hyde: skipped, no | weights" in lines
    assert "| 256 | bm25 | s3 | -0.167 (-0.500 to 0.000) |" in lines


def test_overlap_is_one_table_of_three_shares() -> None:
    exact = Measured()
    exact.add({("ms", ""): 1.0})
    for budget, share in (("64", 0.125), ("256", 0.5)):
        exact.add({("evidence_recall", budget): 1.0, ("tokens_used", budget): 60})
        exact.add({("span_recall", budget): share, ("span_precision", budget): 2 * share})
        exact.add({("span_iou", budget): share / 2})
    found = result(bm25=[exact])
    page = report(found).split("## Overlap with the evidence by budget")[1]
    assert "| bm25 | 0.125 / 0.250 / 0.062 | 0.500 / 1.000 / 0.250 |" in page
    assert found["methods"]["bm25"]["span_iou"]["256"] == {"mean": 0.25, "low": 0.25, "high": 0.25}
    assert "Overlap" not in report(FULL)


def test_the_page_of_graded_data_has_no_evidence_recall() -> None:
    page = report(graded())
    assert "Evidence recall by budget" not in page
    assert "| method | nDCG@10 | recall@100 | ms a question | index seconds |" in page
    assert "| bm25 | 0.500 (0.500 to 0.500) | 1.000 (1.000 to 1.000) | 1 | 0.0 |" in page
    assert "Differences" not in page  # one method has nothing to differ from


def test_the_picture_has_a_line_for_each_method(tmp_path: Path) -> None:
    plot_recall(FULL, tmp_path / "out.png")
    pixels = np.rint(255 * imread(tmp_path / "out.png")[..., :3]).reshape(-1, 3)
    for number in (0, 2):
        colour = np.rint(255 * np.array(colormaps["tab20"](number)[:3]))
        assert (pixels == colour).all(axis=1).sum() > 500
    absent = np.rint(255 * np.array(colormaps["tab20"](4)[:3]))
    assert not (pixels == absent).all(axis=1).any()


def test_there_is_no_picture_without_evidence_recall(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labels no evidence"):
        plot_recall(graded(), tmp_path / "out.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="pip install s3-retriever-bench"):
        plot_recall(FULL, tmp_path / "out.png")
