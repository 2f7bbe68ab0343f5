"""The prompts are LongBench's, to the letter."""

from __future__ import annotations

import hashlib

import pytest
from s3_retriever_bench.longbench.tasks import FAMILIES, TASKS

OFFICIAL = {
    "narrativeqa": "5178f3835db90239",
    "qasper": "0fbdd123fe7f83d6",
    "multifieldqa_en": "20b4666a2de8a1f7",
    "hotpotqa": "9ec4ae308865bd0c",
    "2wikimqa": "9ec4ae308865bd0c",
    "musique": "9ec4ae308865bd0c",
    "gov_report": "91c25d585b189ced",
    "qmsum": "dca23b678fe0183b",
    "multi_news": "2af3f28c40b902e6",
}
"""Beginnings of the SHA-256 of the prompts in LongBench's dataset2prompt.json, in its order."""


def test_the_prompts_are_the_official_ones() -> None:
    found = {n: hashlib.sha256(t.prompt.encode()).hexdigest()[:16] for n, t in TASKS.items()}
    assert found == OFFICIAL


def test_three_families_of_three_as_in_the_published_table() -> None:
    families = [task.family for task in TASKS.values()]
    assert families == [family for family in FAMILIES for _ in range(3)]
    assert {t.name for t in TASKS.values() if t.metric == "rouge-l"} == {
        "gov_report",
        "qmsum",
        "multi_news",
    }


@pytest.mark.parametrize("name", TASKS)
def test_what_is_looked_for_is_the_question_or_the_prompts_own_words(name: str) -> None:
    task = TASKS[name]
    looked_for = task.question("Who?")
    if name in ("gov_report", "multi_news"):
        assert looked_for == task.instruction
        assert looked_for in task.prompt
    else:
        assert looked_for == "Who?"


def test_braces_of_a_text_are_text() -> None:
    prompt = TASKS["qasper"].fill("a {input} b", "What is {context}?")
    assert "a {input} b" in prompt
    assert "Question: What is {context}?" in prompt
