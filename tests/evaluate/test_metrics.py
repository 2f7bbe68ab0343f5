"""Metrics and data, on values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever.errors import InputError
from s3_retriever.evaluate.datasets import Example, load_multihop
from s3_retriever.evaluate.metrics import (
    all_evidence,
    answer_recall,
    bootstrap,
    evidence_recall,
)

RECORD = {
    "id": "q1",
    "question": "Who kept the light?",
    "answers": ["Agnes Tullis"],
    "paragraphs": [
        {
            "title": "Light",
            "text": "It was built. It was kept by Agnes Tullis. It was built.",
            "sentences": ["It was built.", " It was kept by Agnes Tullis.", " It was built."],
            "is_supporting": True,
            "supporting_sents": [1, 2],
        },
        {
            "title": "Bread",
            "text": "Bread rises.",
            "sentences": ["Bread rises."],
            "is_supporting": False,
            "supporting_sents": [],
        },
    ],
}


@pytest.fixture
def example(tmp_path: Path) -> Example:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(RECORD) + "\n")
    return load_multihop(path)[0]


def test_records_become_one_context_with_gold_ranges(example: Example) -> None:
    assert example.context.startswith("Light\nIt was built.")
    assert example.context.endswith("\n\nBread\nBread rises.")
    assert [example.context[a:b] for a, b in example.evidence] == [
        "It was kept by Agnes Tullis.",
        "It was built.",
    ]
    assert example.evidence[1][0] > example.evidence[0][1]  # the second one of the twins
    assert example.gold_passages == (0,)
    assert example.context[slice(*example.passages[1])] == "Bread\nBread rises."


def test_unlabelled_sentences_are_all_gold(tmp_path: Path) -> None:
    paragraph = {"title": "T", "text": "One here. Two there.", "is_supporting": True}
    record = {"id": 1, "question": "q", "answers": [], "paragraphs": [paragraph]}
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(record))
    (found,) = load_multihop(path)
    assert [found.context[a:b] for a, b in found.evidence] == ["One here.", "Two there."]


def test_recall_needs_nine_tenths_of_a_sentence(example: Example) -> None:
    (a, b), (c, d) = example.evidence
    assert evidence_recall(example, []) == 0
    assert evidence_recall(example, [(a, b)]) == 0.5
    assert evidence_recall(example, [(a, b - 2), (c, d)]) == 1  # 26 of 28 characters
    assert evidence_recall(example, [(a, b - 4), (c, d)]) == 0.5  # 24 of 28
    assert evidence_recall(example, [(a, a + 14), (a + 14, b)]) == 0.5  # two halves are a whole
    assert all_evidence(example, [(0, len(example.context))]) == 1
    assert all_evidence(example, [(a, b)]) == 0


def test_answer_recall_ignores_case(example: Example) -> None:
    (a, b), (c, d) = example.evidence
    assert answer_recall(example, [(a, b)]) == 1
    assert answer_recall(example, [(c, d)]) == 0


def test_bootstrap_interval_holds_the_mean() -> None:
    found = bootstrap([0.0, 1.0] * 50)
    assert found["mean"] == 0.5
    assert 0.38 < found["low"] < 0.45
    assert 0.55 < found["high"] < 0.62
    assert bootstrap([0.0, 1.0] * 50) == found


@pytest.mark.parametrize("content", ["", "not json\n", '{"id": 1}\n', "[]\n"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=r"data\.jsonl"):
        load_multihop(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_multihop(tmp_path / "missing.jsonl")
