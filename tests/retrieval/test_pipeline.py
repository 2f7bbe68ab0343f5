"""What the model is asked for a question: as little as need be, once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from s3_retriever import Document, Engine
from s3_retriever.models.base import QueryReader
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.query import cache_queries, project_question, question_ids
from s3_retriever.retrieval.scoring.attention import QuestionLanes
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTIONS = ["When was the lighthouse finished?", "What does sourdough need?", "Whale oil?"]


@pytest.fixture
def llm() -> TransformersModel:
    return tiny_llm()


@pytest.fixture
def engine(llm: TransformersModel, tmp_path: Path) -> Engine:
    engine = Engine(llm, Profile.load(write_profile(tmp_path, llm)))
    engine.add([Document(f"d{n}", line) for n, line in enumerate(TEXT.splitlines())])
    return engine


@pytest.fixture
def reads(llm: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each text was read for its queries; ``passes`` counts forward passes."""
    found: Counter[str] = Counter()
    read = llm.read_queries

    def counting(texts: Sequence[np.ndarray], layers: Sequence[int]) -> Mapping[int, Any]:
        found["passes"] += 1
        found.update(llm.tokenizer.decode(ids) for ids in texts)
        time.sleep(0.05)  # another thread comes in the meantime
        return read(texts, layers)

    monkeypatch.setattr(llm, "read_queries", counting)
    return found


def text_read(engine: Engine, question: str) -> str:
    ids = np.concatenate(question_ids(engine.llm, engine.profile.card, question))
    text: str = engine.llm.tokenizer.decode(ids)  # type: ignore[attr-defined]
    return text


def test_words_alone_do_not_run_the_model(engine: Engine, llm: TransformersModel) -> None:
    expected = engine.retrieve(QUESTIONS[0], mode="bm25")

    def broken(*_: object) -> None:
        raise AssertionError("the model ran")

    for module in llm.model.modules():
        module.register_forward_pre_hook(broken)
    found = engine.retrieve(QUESTIONS[0], mode="bm25", token_scores=True)
    assert [(s.id, s.score) for s in found] == [(s.id, s.score) for s in expected]
    assert expected
    with pytest.raises(AssertionError, match="the model ran"):
        engine.retrieve(QUESTIONS[0], mode="features")


def test_the_null_question_is_read_once(engine: Engine, reads: Counter[str]) -> None:
    for question in QUESTIONS:
        engine.retrieve(question)
    assert reads == Counter(
        [text_read(engine, question) for question in [*QUESTIONS, "N/A"]] + ["passes"] * 4
    )


def test_the_null_question_is_read_once_beside_a_batch(engine: Engine, reads: Counter[str]) -> None:
    engine.retrieve_batch(QUESTIONS)
    engine.retrieve_batch(QUESTIONS)
    assert reads[text_read(engine, "N/A")] == 1
    assert reads["passes"] == 3  # one a batch, and the null question's


def test_the_null_questions_tables_are_made_once(
    engine: Engine, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two threads that ask at once, too."""
    made: Counter[int] = Counter()
    table = QuestionLanes._table

    def counting(self: QuestionLanes, head: Any) -> list[Tensor]:
        made[id(self)] += 1
        time.sleep(0.05)
        return table(self, head)

    monkeypatch.setattr(QuestionLanes, "_table", counting)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(engine.retrieve, QUESTIONS))
    assert reads[text_read(engine, "N/A")] == 1
    null = engine._retriever._null_lanes["N/A"]
    assert made[id(null)] == len(null.key_heads)
    assert len(made) == 4  # three questions' and the null question's


def test_questions_do_not_wait_for_each_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads project their questions at the same time."""
    both = threading.Barrier(2)  # passed only if each comes while the other is here
    read = engine.llm.read_queries

    def waiting(texts: Sequence[np.ndarray], layers: Sequence[int]) -> Mapping[int, Any]:
        both.wait(60)
        return read(texts, layers)

    engine.retrieve("Who?")  # the null question is known
    monkeypatch.setattr(engine.llm, "read_queries", waiting)
    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(engine.retrieve, QUESTIONS[:2]))


def test_a_batch_finds_what_single_questions_find(engine: Engine) -> None:
    for mode in ("hybrid", "features"):
        batch = engine.retrieve_batch(QUESTIONS, mode=mode, token_scores=True)
        for question, found in zip(QUESTIONS, batch, strict=True):
            alone = engine.retrieve(question, mode=mode, token_scores=True)
            assert [span.id for span in found] == [span.id for span in alone]
            np.testing.assert_allclose(
                [t.score for s in found for t in s.tokens],
                [t.score for s in alone for t in s.tokens],
                atol=1e-3,
            )


@pytest.mark.parametrize("most_tokens", [1, 64, 10_000])
def test_a_query_cache_holds_what_a_single_reading_gives(engine: Engine, most_tokens: int) -> None:
    llm, card = engine.llm, engine.profile.card
    cache = cache_queries(llm, card, [*QUESTIONS, "", "why " * 999, QUESTIONS[0]], most_tokens)
    for question in QUESTIONS:
        alone = project_question(llm, card, question)
        cached = project_question(forbidden(llm), card, question, cache=cache)
        assert cached.queries.keys() == alone.queries.keys() == set(card.layers)
        for layer, queries in cached.queries.items():
            np.testing.assert_allclose(queries, alone.queries[layer], atol=1e-4)


def test_what_a_query_cache_lacks_is_read(engine: Engine, reads: Counter[str]) -> None:
    empty = QueryCache(engine.llm, [], engine.profile.layers, most_tokens=64)
    assert reads["passes"] == 0
    assert engine.retrieve(QUESTIONS[0], mode="features", query_cache=empty)
    assert reads[text_read(engine, QUESTIONS[0])] == 1


def forbidden(llm: QueryReader) -> QueryReader:
    """The model, which must not read queries."""

    class Forbidden:
        def __getattr__(self, name: str) -> Any:
            assert name != "read_queries"
            return getattr(llm, name)

    return Forbidden()  # type: ignore[return-value]
