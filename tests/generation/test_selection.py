"""Documents of other stores: their ids and metadata decide nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "What do cats do?"
CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = CIRCLE
DEEP: dict[str, Any] = {}
for _ in range(3000):
    DEEP = {"in": DEEP}

METADATA: dict[str, dict[Any, Any]] = {
    "a surrogate": {"source": "caf\udce9.txt"},
    "a key that is no string": {(1, 2): "x", None: 1, 3: 4},
    "an object": {"_id": object()},
    "a set": {"tags": {"a", "b"}},
    "bytes": {"raw": b"\xff"},
    "not a number": {"score": float("nan")},
    "a circle": CIRCLE,
    "depth": DEEP,
}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    llm = tiny_llm()
    return Engine(llm, Profile.load(write_profile(tmp_path, llm)))


@pytest.mark.parametrize("ids", [("0", "0"), ("1", "0"), ("", ""), ("0:0-4", "0:0-4")])
def test_ids_are_numbered(engine: Engine, ids: tuple[str, str]) -> None:
    texts = ["Cats purr at home.", "Cats hunt mice outside."]
    given = [
        Document(i, text, {"n": n}) for n, (i, text) in enumerate(zip(ids, texts, strict=True))
    ]
    found = engine.select(QUESTION, given, max_tokens=None)
    assert {(s.text, s.doc_id, s.metadata["n"]) for s in found} == {
        (text, i, n) for n, (i, text) in enumerate(zip(ids, texts, strict=True))
    }


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_metadata_come_back_as_they_were(engine: Engine, metadata: dict[Any, Any]) -> None:
    found = engine.select(QUESTION, [Document("a", "Cats purr.", metadata)])
    assert [span.text for span in found] == ["Cats purr."]
    assert found[0].metadata is metadata


def test_a_filter_sees_the_metadata(engine: Engine) -> None:
    given = [Document("a", "Cats purr.", {"n": 1}), Document("a", "Cats hunt.", {"n": 2})]
    assert [s.text for s in engine.select(QUESTION, given, filter={"n": 2})] == ["Cats hunt."]


@pytest.mark.parametrize("question", ["", None, 3])
def test_nothing_is_read_for_no_question(engine: Engine, question: Any) -> None:
    with pytest.raises(InputError, match="question"):
        engine.select(question, ["Cats purr."])
