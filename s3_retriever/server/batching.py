"""Questions that wait together are projected in one forward pass, then searched side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from s3_retriever.models.query_cache import QueryCache
from s3_retriever.server.failures import OverloadedError

__all__ = ["Observer", "QuestionQueue"]

T = TypeVar("T")


class Observer(Protocol):
    """Is told what the queue does."""

    def projected(self, n_questions: int, seconds: float) -> None:
        """One forward pass for some questions is done."""

    def searched(self, seconds: float) -> None:
        """One question was searched for."""


@dataclass
class _Waiting:
    question: str
    search: Callable[[QueryCache], Any]
    answer: Future[Any] = field(default_factory=Future)


class QuestionQueue:
    """One thread reads questions with the model, a few search for what was read.

    While some questions are searched for, the next ones are read; those that came meanwhile share
    a pass. While more are read than can be searched for, no others are read: so passes are large
    when there is much to do. Nobody waits for others who is alone.
    """

    def __init__(
        self,
        project: Callable[[Sequence[str]], QueryCache],
        observer: Observer,
        *,
        most_waiting: int,
        most_batch: int,
        wait_seconds: float,
        search_threads: int,
    ) -> None:
        """Start the threads.

        Args:
            project: reads questions together, e.g. ``Engine.cache_queries``.
            observer: is told about it.
            most_waiting: questions that wait or are being answered.
            most_batch: questions that are read together.
            wait_seconds: how long a question waits for others while others are being answered.
            search_threads: threads that search.
        """
        self._project = project
        self._observer = observer
        self._most_waiting = most_waiting
        self._most_batch = most_batch
        self._wait_seconds = wait_seconds
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._open = 0
        self._searching = 0
        self._search_threads = search_threads
        self._closed = False
        self._searchers = ThreadPoolExecutor(search_threads, thread_name_prefix="search")
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)
        self._thread.start()

    @property
    def n_open(self) -> int:
        """Questions that wait or are being answered."""
        return self._open

    def ask(self, question: str, search: Callable[[QueryCache], T]) -> Future[T]:
        """Have a question read with others and then searched for.

        Args:
            question: plain text.
            search: what to do with the queries that were read; runs in another thread.

        Returns:
            What ``search`` returns or raises. If it is cancelled in time, nothing is done.

        Raises:
            OverloadedError: too many wait already, or the server is ending.
        """
        with self._changed:
            if self._closed:
                raise OverloadedError("the server is ending; ask again", 5)
            if self._open >= self._most_waiting:
                raise OverloadedError("too many questions are waiting; ask again")
            self._open += 1
            waiting = _Waiting(question, search)
            waiting.answer.add_done_callback(self._answered)
            self._queue.put(waiting)
        return waiting.answer

    def _answered(self, _: Future[Any]) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def give_way(self, most_seconds: float) -> None:
        """Wait until there are no questions, but not for ever: for whoever has time.

        Args:
            most_seconds: then it is the caller's turn all the same.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._open, most_seconds)

    def close(self) -> None:
        """Answer what waits, then end; nothing more is taken."""
        with self._changed:
            if not self._closed:
                self._queue.put(None)  # behind all that was taken
            self._closed = True
        self._thread.join()
        self._searchers.shutdown()

    def _run(self) -> None:
        going_on = True
        while going_on:
            first = self._queue.get()
            if first is None:
                return
            with self._changed:  # what has been read waits already: the more can be read together
                self._changed.wait_for(lambda: self._searching <= self._search_threads)
            batch, going_on = self._with_others(first)
            usable = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            if not usable:
                continue
            began = time.perf_counter()
            try:
                cache = self._project([one.question for one in usable])
            except Exception as e:
                for one in usable:
                    one.answer.set_exception(e)
                continue
            self._observer.projected(len(usable), time.perf_counter() - began)
            with self._changed:
                self._searching += len(usable)
            for one in usable:
                self._searchers.submit(self._search, one, cache)

    def _with_others(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """Questions that wait too, and whether more may come."""
        batch = [first]
        until = time.monotonic() + self._wait_seconds
        while len(batch) < self._most_batch:
            left = until - time.monotonic() if self._open > len(batch) else 0.0
            try:
                one = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if one is None:
                return batch, False
            batch.append(one)
        return batch, True

    def _search(self, one: _Waiting, cache: QueryCache) -> None:
        began = time.perf_counter()
        try:
            found = one.search(cache)
        except BaseException as e:
            one.answer.set_exception(e)
        else:
            self._observer.searched(time.perf_counter() - began)
            one.answer.set_result(found)
        finally:
            with self._changed:
                self._searching -= 1
                self._changed.notify_all()
