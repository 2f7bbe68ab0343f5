"""One thing where a list is meant is a list of one, in the whole public interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.explain.abstain import Abstention
from s3_retriever.profiles.profile import Profile
from s3_retriever.readers import read_files
from s3_retriever.training.adoption.material import from_text
from s3_retriever.training.calibration.cloze import inverse_cloze
from s3_retriever.training.corpus import read_corpus
from s3_retriever.types import SpanRef
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    llm = tiny_llm()
    engine = Engine(llm, Profile.load(write_profile(tmp_path, llm)))
    engine.add([Document("pp", TEXT), Document("p", "Letters are no ids.")])
    return engine


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Hello", ["Hello"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        (iter(["a"]), ["a"]),
        ({"a": 1}.keys(), ["a"]),
        (Path("x.txt"), [Path("x.txt")]),
        ([], []),
    ],
)
def test_what_is_a_list(given: Any, expected: list[Any]) -> None:
    assert listed(given, "texts") == expected


@pytest.mark.parametrize("given", [None, 7, b"Hello", bytearray(b"x"), {"a": "b"}, 0.5, object()])
def test_what_is_none(given: Any) -> None:
    with pytest.raises(InputError, match=r"texts must be a list, not"):
        listed(given, "texts")


def test_adding(engine: Engine) -> None:
    assert len(engine.add("Hello").added) == 1
    assert engine.add(Document("one", "Hello again.")).added == ("one",)
    found = engine.select("What is said?", "Hello there, all of you.", max_tokens=None)
    assert "".join(span.text for span in found) == "Hello there, all of you."
    for wrong in (None, b"Hello", 42):
        with pytest.raises(InputError, match="documents must be a list"):
            engine.add(wrong)  # type: ignore[arg-type]


def test_deleting(engine: Engine) -> None:
    assert engine.delete("pp") == 1
    assert engine.ids() == ["p"]
    with pytest.raises(InputError, match="ids must be a list"):
        engine.delete(None)  # type: ignore[arg-type]


def test_asking(engine: Engine) -> None:
    (found,) = engine.retrieve_batch("When was the lighthouse finished?", mode="bm25")
    assert found.question == "When was the lighthouse finished?"
    assert engine.similarities(SpanRef("pp", 0, 20)).shape == (1, 1)  # type: ignore[arg-type]
    asked: list[str] = []

    class Watched:
        llm = engine.llm

        def retrieve(self, question: str, **_: Any) -> list[Any]:
            asked.append(question)
            return []

    Abstention.learn(Watched(), "Is it lit?", "Is it blue?")  # type: ignore[arg-type]
    assert asked == ["Is it lit?", "Is it blue?"]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("wanted.txt", "w", "a"):
        (tmp_path / name).write_text(f"This is {name}.")
    for given in ("wanted.txt", Path("wanted.txt")):
        assert [d.text for d in read_files(given).documents] == ["This is wanted.txt."]
    assert read_corpus("wanted.txt") == "This is wanted.txt."  # type: ignore[arg-type]
    for wrong in (None, 3, b"wanted.txt"):
        with pytest.raises(InputError, match="paths must be a list"):
            read_files(wrong)  # type: ignore[arg-type]


def test_training_texts() -> None:
    paragraph = "One sentence is here. Another follows it. The third one ends it."
    text = "\n\n".join(f"{paragraph} Number {n} was this." for n in range(40))
    assert inverse_cloze(text, limit=3, seed=0) == inverse_cloze([text], limit=3, seed=0)
    assert from_text(text, seed=0) == from_text([text], seed=0)
