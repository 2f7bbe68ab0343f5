"""Whatever leaves an index is a copy: changing it changes no answer that comes later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile

QUESTION = "When was the lighthouse lamp finished?"


def metadata() -> dict[str, Any]:
    return {"tags": ["a", {"b": [1]}], "year": 1887, "about": {"place": {"name": "Skerry"}}}


@pytest.fixture(scope="module")
def llm() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(params=["memory", "folder"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, llm: TransformersModel) -> Engine:
    profile = Profile.load(write_profile(tmp_path / "p", llm))
    engine = Engine(llm, profile, tmp_path / "i" if request.param == "folder" else None)
    given = metadata()
    engine.add([Document("a", TEXT, given)])
    spoil(given)
    return engine


def got(engine: Engine) -> Iterator[Any]:
    yield engine.get("a")


def found(engine: Engine) -> Iterator[Any]:
    yield from engine.retrieve(QUESTION, max_tokens=200)


def found_in_batches(engine: Engine) -> Iterator[Any]:
    for result in engine.retrieve_batch([QUESTION, "flour"]):
        yield from result


def answered_from(engine: Engine) -> Iterator[Any]:
    yield from engine.answer(QUESTION, max_tokens=60, max_new_tokens=1).spans


def updated(engine: Engine) -> Iterator[Any]:
    given = metadata()
    engine.update_metadata({"a": given})
    spoil(given)
    yield engine.get("a")


def listed(engine: Engine) -> Iterator[Any]:
    for _, found in engine.documents.metadata():
        yield Document("a", TEXT, found)


WAYS_OUT = [got, found, found_in_batches, answered_from, updated, listed]


def spoil(metadata: dict[str, Any]) -> None:
    metadata["year"] = 3000
    metadata["tags"].append("c")
    metadata["tags"][1]["b"].append(2)
    metadata["about"]["place"]["name"] = "nowhere"
    del metadata["about"]["place"]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_changing_what_came_out(engine: Engine, way: Callable[[Engine], Iterator[Any]]) -> None:
    n = 0
    for one in way(engine):
        assert one.metadata == metadata()
        spoil(one.metadata)
        n += 1
    assert n
    for again in WAYS_OUT:
        assert all(one.metadata == metadata() for one in again(engine))
    assert engine.ids({"year": 1887, "tags": "a"}) == ["a"]
    assert engine.ids({"year": 3000}) == []
