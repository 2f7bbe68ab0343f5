"""Work that several methods share, and a clock that charges each of them for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection

__all__ = ["Shared", "SharedAnswers", "Stopwatch", "of_engine", "stopwatch"]

T = TypeVar("T")


class Stopwatch:
    """Seconds of a block, known once it is left."""

    seconds = 0.0


_running: ContextVar[Stopwatch | None] = ContextVar("running", default=None)


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block; :class:`Shared` work that it finds done counts as if it were done there."""
    watch = Stopwatch()
    token = _running.set(watch)
    started = time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds += time.perf_counter() - started
        _running.reset(token)


class Shared(Generic[T]):
    """What several methods make of a collection, made once, e.g. the scan of its documents.

    Example:
        >>> lengths = Shared(lambda collection: sum(map(len, collection.texts.values())))
        >>> lengths.of(Collection((), ()))
        0
    """

    def __init__(self, make: Callable[[Collection], T]) -> None:
        """``make`` is called for each collection when it is first asked for."""
        self._make = make
        self._last: tuple[Collection, T, float] | None = None

    def of(self, collection: Collection) -> T:
        """What is made of this collection; the last one's is kept, what was before is freed."""
        outer = _running.get()
        if self._last is not None and self._last[0] is collection:
            if outer:
                outer.seconds += self._last[2]
            return self._last[1]
        self._last = None
        started = time.perf_counter()
        with stopwatch() as making:
            made = self._make(collection)
        if outer:  # shared work that this work found done: the outer clock saw none of it
            outer.seconds += making.seconds - (time.perf_counter() - started)
        self._last = collection, made, making.seconds
        return made


class SharedAnswers(Generic[T]):
    """What several methods make of a question to a collection, made once.

    Example:
        >>> lengths = SharedAnswers(len)
        >>> lengths.of(Collection((), ()), "Why?")
        4
    """

    def __init__(self, make: Callable[[str], T]) -> None:
        """``make`` is called for each question when it is first asked."""
        self._make = make
        self._asked: Shared[dict[str, Shared[T]]] = Shared(lambda _: {})

    def of(self, collection: Collection, question: str) -> T:
        """What is made of the question; those to the last collection are kept."""
        asked = self._asked.of(collection)
        make = Shared[T](lambda _: self._make(question))
        return asked.setdefault(question, make).of(collection)


_OF_ENGINE: WeakKeyDictionary[Engine, dict[Hashable, Any]] = WeakKeyDictionary()


def of_engine(engine: Engine, key: Hashable, make: Callable[[], T]) -> T:
    """What all methods made with the same engine have in common, made once.

    Args:
        engine: lives on by its owner only: what is made must not hold it.
        key: names what is made; the same key always has the same type.
        make: called for the first who asks.
    """
    made = _OF_ENGINE.setdefault(engine, {})
    if key not in made:
        made[key] = make()
    found: T = made[key]
    return found
