"""Where evidence is lost, on the real model, and the picture of it."""

from __future__ import annotations

from pathlib import Path

from s3_retriever_bench.stages import measure_stages, plot_stages

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.engine.conftest import DOCUMENTS


def test_stages_only_lose(llm: TransformersModel) -> None:
    text = "\n\n".join(document.text for document in DOCUMENTS)
    sentence = "The last keeper"
    start = text.index(sentence)
    gold = Place("all", start, text.index(".", start) + 1)
    known = Question("known", "Who was the last keeper of the lighthouse?", evidence=(gold,))
    unlabelled = Question("unlabelled", "Who first saw the comet?")
    collection = Collection((Document("all", text),), (known, unlabelled))
    engine = Engine(llm, Profile.load("smollm2-135m-instruct"))
    done: list[int] = []
    found = measure_stages(engine, [collection], budgets=[2, 64], on_question=done.append)
    assert list(found) == [
        "candidates",
        "ranked spans",
        "64 tokens",
        "64 tokens, gold first",
        "2 tokens",
        "2 tokens, gold first",
    ]
    # a short text is covered whole, and two tokens hold no sentence
    means = [found[name]["mean"] for name in found]
    assert means == [1, 1, 1, 1, 0, 0]
    assert done == [1, 2]


def test_the_picture_is_written(tmp_path: Path) -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    plot_stages(
        {"candidates": interval, "64 tokens, gold first": interval}, "t", tmp_path / "p.png"
    )
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
