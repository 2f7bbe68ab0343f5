"""Work that several methods share, and a clock that charges each of them for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from s3_retriever.labels.collections import Collection

__all__ = ["Shared", "Stopwatch", "stopwatch"]

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
        if self._last is not None and self._last[0] is collection:
            if watch := _running.get():
                watch.seconds += self._last[2]
            return self._last[1]
        self._last = None
        started = time.perf_counter()
        made = self._make(collection)
        self._last = collection, made, time.perf_counter() - started
        return made
