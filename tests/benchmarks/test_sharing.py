"""Shared work is done once and charged to everyone."""

from __future__ import annotations

import time
import weakref

from s3_retriever_bench.sharing import Shared, SharedAnswers, stopwatch

from s3_retriever.labels.collections import Collection

FIRST, SECOND = Collection((), ()), Collection((), ())


class _Made:
    pass


def test_what_was_made_is_shared_until_the_next_collection() -> None:
    made: list[weakref.ref[_Made]] = []

    def make(collection: Collection) -> _Made:
        assert all(reference() is None for reference in made)  # the last one is freed first
        found = _Made()
        made.append(weakref.ref(found))
        return found

    shared = Shared(make)
    assert shared.of(FIRST) is shared.of(FIRST)
    assert len(made) == 1
    shared.of(SECOND)
    shared.of(FIRST)
    assert len(made) == 3


def test_each_clock_counts_the_shared_work() -> None:
    shared = Shared(lambda collection: time.sleep(0.05))
    with stopwatch() as first:
        shared.of(FIRST)
    started = time.perf_counter()
    with stopwatch() as second:
        shared.of(FIRST)
    assert time.perf_counter() - started < 0.05
    assert first.seconds >= 0.05
    assert second.seconds >= 0.05
    with stopwatch() as idle:
        pass
    assert idle.seconds < 0.05


def test_shared_work_inside_shared_work_is_charged_too() -> None:
    inner = Shared(lambda collection: time.sleep(0.05))
    one, two = Shared(inner.of), Shared(inner.of)
    one.of(FIRST)
    for _ in range(2):  # made, with the inner work found done; then found done itself
        with stopwatch() as watch:
            two.of(FIRST)
        assert 0.05 <= watch.seconds < 0.1


def test_a_question_is_answered_once_for_a_collection() -> None:
    asked: list[str] = []

    def make(question: str) -> int:
        asked.append(question)
        return len(question)

    shared = SharedAnswers(make)
    assert [shared.of(FIRST, q) for q in ("a", "bc", "a")] == [1, 2, 1]
    assert asked == ["a", "bc"]
    shared.of(SECOND, "a")
    assert asked == ["a", "bc", "a"]
