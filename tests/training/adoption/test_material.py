"""Questions and text for adoption: nothing that is reported on is learned from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever.errors import InputError
from s3_retriever.training.adoption.material import Material, from_labels, from_text


def paragraph(n: int) -> str:
    return (
        f"Thing {n} is old. It stands in town number {n} by a river. People like number {n} best."
    )


def contexts(material: Material) -> tuple[set[str], set[str]]:
    return (
        {d.text for c in material.learn for d in c.documents},
        {d.text for c in material.report for d in c.documents},
    )


def records(path: Path, n: int) -> Path:
    lines = [
        json.dumps(
            {
                "id": f"q{number}",
                "question": f"Where is thing {number}?",
                "answers": [],
                "paragraphs": [
                    {"title": f"T{k}", "text": paragraph(k), "is_supporting": k == number}
                    for k in (number, number + 100)
                ],
            }
        )
        for number in range(n)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_labelled_questions_in_halves(tmp_path: Path) -> None:
    material = from_labels(records(tmp_path / "q.jsonl", 9), seed=0)
    assert (len(material.learn), len(material.report)) == (4, 5)
    learned, reported = contexts(material)
    assert not learned & reported
    assert all(text in material.text for text in learned)
    assert not any(text in material.text for text in reported)
    assert from_labels(tmp_path / "q.jsonl", seed=0) == material
    assert from_labels(tmp_path / "q.jsonl", seed=1) != material
    few = material.first(2, 3)
    assert (few.learn, few.report) == (material.learn[:2], material.report[:3])


def test_too_few_labelled_questions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3; at least 4 are needed"):
        from_labels(records(tmp_path / "q.jsonl", 3), seed=0)


def test_questions_made_of_text() -> None:
    material = from_text(["\n\n".join(map(paragraph, range(60)))], seed=0)
    assert len(material.learn) == 42
    assert len(material.report) == 18
    for collection in (*material.learn, *material.report):
        (question,) = collection.questions
        (gold,) = question.gold_passages
        assert len(question.evidence) == 2  # of three sentences one is the question
        assert all(gold.start <= e.start < e.end <= gold.end for e in question.evidence)
    reported = {p for c in material.report for p in c.documents[0].text.split("\n\n")}
    assert not any(p in material.text for p in reported if p.startswith("Thing"))


def test_too_little_text() -> None:
    with pytest.raises(InputError, match="in the text: 20; 34 are needed"):
        from_text(["\n\n".join(map(paragraph, range(20)))], seed=0)
