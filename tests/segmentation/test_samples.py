"""Ten texts that are no prose, and what answers forty questions about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.text import find_bounds
from tests.segmentation.checks import check_bounds

FOLDER = Path(__file__).parents[1] / "data" / "segments"
QUESTIONS = [
    json.loads(line)
    for line in (FOLDER / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
NAMES = sorted({question["document"] for question in QUESTIONS})
ANSWERS = {
    "chat-1": '"F28 is an ignition lockout'[1:],
    "events-2": '"note": "Contactor K14 welded shut',
    "application-2": "TypeError: '<' not supported",
    "tidal-2": "return bridge - harbour.height_at(when) - mast",
    "ferries-1": "call the skipper an hour before",
    "specimens-3": "Chernobyl rain: 1140 Bq/kg",
    "transcript-3": "they had taken the radio away",
    "lighthouse-2": "in a barrel of salt herring.",
    "harbour-year-1": "left the kettle standing on its hook",
    "site-0": "anonymous: 60/min",
}


def sample(name: str) -> str:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return file.read()


def test_there_are_four_questions_for_each_of_ten_texts() -> None:
    assert len(NAMES) == 10
    assert all(sum(q["document"] == name for q in QUESTIONS) == 4 for name in NAMES)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_an_answer_is_covered_by_units_of_three_times_its_length(question: dict[str, Any]) -> None:
    text = sample(question["document"])
    bounds = find_bounds(text)
    for span in question["evidence"]:
        gold = text[span["start"] : span["end"]]
        assert gold == gold.strip()
        assert ANSWERS.get(question["id"], "") in gold
        units = bounds.sentences_over(span["start"], span["end"])
        assert sum(end - start for start, end in units) <= 3 * len(gold)


@pytest.mark.parametrize("name", NAMES)
def test_units_and_paragraphs_fit_a_tight_budget(name: str) -> None:
    text = sample(name)
    bounds = find_bounds(text)
    check_bounds(text, bounds)
    assert max(bounds.sentences[:, 1] - bounds.sentences[:, 0]) <= 400
    assert max(bounds.paragraphs[:, 1] - bounds.paragraphs[:, 0]) <= 1300
