"""The queue of questions: what waits together is read together, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.server.batching import QuestionQueue
from s3_retriever.server.failures import OverloadedError
from s3_retriever.server.metrics import Metrics
from tests.server.conftest import eventually


class Reader:
    """Reads questions when it may, and remembers which it read together."""

    def __init__(self, llm: TransformersModel) -> None:
        self.may = threading.Event()
        self.reading = threading.Event()
        self.batches: list[list[str]] = []
        self._llm = llm

    def __call__(self, questions: Sequence[str]) -> QueryCache:
        self.reading.set()
        self.may.wait(60)
        self.batches.append(list(questions))
        if "bad" in questions:
            raise RuntimeError("it cannot be read")
        return QueryCache(
            self._llm, [self._llm.tokenize(q).ids for q in questions], [2], most_tokens=64
        )


@pytest.fixture
def reader(llm: TransformersModel) -> Reader:
    return Reader(llm)


@pytest.fixture
def waiting(reader: Reader) -> Iterator[QuestionQueue]:
    made = QuestionQueue(
        reader, Metrics(), most_waiting=6, most_batch=4, wait_seconds=0.005, search_threads=2
    )
    yield made
    reader.may.set()
    made.close()


def test_what_waits_is_read_together_in_order_and_at_most_so_many(
    reader: Reader, waiting: QuestionQueue
) -> None:
    first = waiting.ask("0", lambda cache: "0")
    assert reader.reading.wait(30)
    others = [waiting.ask(str(n), lambda cache, n=n: str(n)) for n in range(1, 6)]
    with pytest.raises(OverloadedError) as caught:
        waiting.ask("6", lambda cache: "6")
    assert caught.value.status == 429
    reader.may.set()
    assert [one.result(30) for one in (first, *others)] == list("012345")
    read = [question for batch in reader.batches for question in batch]
    assert read == list("012345")
    assert max(map(len, reader.batches)) == 4


def test_a_question_that_fails_harms_no_later_one(reader: Reader, waiting: QuestionQueue) -> None:
    reader.may.set()
    bad = waiting.ask("bad", lambda cache: "never")
    assert isinstance(bad.exception(30), RuntimeError)
    worse = waiting.ask("worse", lambda cache: 1 / 0)
    assert isinstance(worse.exception(30), ZeroDivisionError)
    assert waiting.ask("good", lambda cache: "found").result(30) == "found"
    assert eventually(lambda: waiting.n_open == 0)


def test_a_question_that_nobody_waits_for_is_not_read(
    reader: Reader, waiting: QuestionQueue
) -> None:
    first = waiting.ask("first", lambda cache: "found")
    assert reader.reading.wait(30)
    gone = waiting.ask("gone", lambda cache: "never")
    assert gone.cancel()
    reader.may.set()
    assert first.result(30) == "found"
    assert waiting.ask("last", lambda cache: "found").result(30) == "found"
    assert "gone" not in [question for batch in reader.batches for question in batch]


def test_others_give_way_until_there_are_no_questions(
    reader: Reader, waiting: QuestionQueue
) -> None:
    waiting.give_way(60)  # there are none
    one = waiting.ask("one", lambda cache: "found")
    waiting.give_way(0.01)  # not for ever
    assert not one.done()
    given = threading.Thread(target=waiting.give_way, args=(60,))
    given.start()
    reader.may.set()
    given.join(30)
    assert not given.is_alive()
    assert one.done()


def test_what_waits_at_the_end_is_answered(reader: Reader, waiting: QuestionQueue) -> None:
    asked = [waiting.ask(str(n), lambda cache, n=n: n) for n in range(6)]
    reader.may.set()
    waiting.close()
    assert [one.result(0) for one in asked] == list(range(6))
    with pytest.raises(OverloadedError):
        waiting.ask("late", lambda cache: None)
