"""An exact keyword wins: codes, names, numbers and rare words, on the real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.labels.datasets import load_collections
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile

FOLDER = Path(__file__).parents[1] / "data" / "keywords"
HALVES = {
    name: [
        json.loads(line)
        for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    for name in ("choose", "report")
}
TABLE = """\
| vegetable | sown | picked | yield | remarks |
|---|---|---|---|---|
| broad bean | February | June | 4 kg | pinch the tips against blackfly |
| runner bean | May | August | 6 kg | needs poles |
| French bean | May | July | 3 kg | sow again in June |
| borlotti bean | May | September | 2 kg | dry them on the plant |
| lettuce | April | June | 3 kg | every two weeks |
"""
NOTES = "We sowed in March. The kale came up in a week. Slugs ate the rest."


@pytest.fixture(scope="module")
def empty(llm: TransformersModel) -> Engine:
    return Engine(llm, Profile.load("smollm2-135m-instruct"))


@pytest.fixture(scope="module")
def engine(empty: Engine) -> Engine:
    """All texts of the set in one index."""
    [collection] = load_collections(FOLDER / "report.jsonl", setting="corpus")
    engine = empty.namespace("keywords")
    engine.add(collection.documents)
    return engine


def found_first(engine: Engine, record: dict[str, Any], mode: str) -> bool:
    (best,) = engine.retrieve(record["question"], max_tokens=None, k=1, mode=mode)
    (gold,) = record["evidence"]
    return (
        best.doc_id == record["document"] and best.start < gold["end"] and gold["start"] < best.end
    )


def test_the_halves_share_no_keyword_and_each_has_every_kind() -> None:
    places = [
        {(r["document"], r["evidence"][0]["start"]) for r in half} for half in HALVES.values()
    ]
    keywords = [{r["question"] for r in half if r["form"] == "bare"} for half in HALVES.values()]
    assert not keywords[0] & keywords[1]
    assert all(len(p) >= 28 for p in places)
    for half in HALVES.values():
        assert {r["kind"] for r in half} == {"entity", "code", "number", "word"}
        for record in half:
            text = (FOLDER / record["document"]).read_bytes().decode()
            (gold,) = record["evidence"]
            held = " ".join(text[gold["start"] : gold["end"]].split()).lower()
            assert record["form"] != "bare" or record["question"].lower() in held


@pytest.mark.parametrize(("mode", "questions"), [("bm25", 24), ("fast", 26)])
def test_what_is_asked_for_by_name_comes_first(engine: Engine, mode: str, questions: int) -> None:
    right = {
        form: sum(found_first(engine, r, mode) for r in HALVES["report"] if r["form"] == form)
        for form in ("bare", "question")
    }
    assert right["bare"] >= 31  # of 32
    assert right["question"] >= questions


def test_the_reading_in_context_does_not_outvote_it(engine: Engine) -> None:
    bare = [r for r in HALVES["report"] if r["form"] == "bare"][::4]  # each takes seconds
    assert sum(found_first(engine, r, "hybrid") for r in bare) >= 7  # of 8


@pytest.mark.parametrize("mode", ["bm25", "fast", "hybrid"])
@pytest.mark.parametrize("question", ["kale", "tell me about kale"])
def test_in_a_small_index_it_comes_before_a_table_of_its_like(
    empty: Engine, mode: str, question: str
) -> None:
    engine = empty.namespace("vegetables")
    if not len(engine):
        engine.add([Document("notes", NOTES), Document("table", TABLE)])
    (best,) = engine.retrieve(question, max_tokens=None, k=1, mode=mode)
    assert "kale" in best.text
