"""Long work for one client each: answers, compression, ranking; a few at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from s3_retriever.server.failures import OverloadedError

__all__ = ["Works"]

T = TypeVar("T")


class Works:
    """A few threads, and as many places to wait for one.

    Example:
        >>> works = Works(1)
        >>> asyncio.run(works.run(lambda: 2))
        2
        >>> works.close()
    """

    def __init__(self, most: int) -> None:
        """Start with all places free.

        Args:
            most: how many go on together; as many again wait.
        """
        self._most = 2 * most
        self._open = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="work")
        self._ending = threading.Event()

    @property
    def n_open(self) -> int:
        """How many go on or wait."""
        return self._open

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._ending.is_set():
                raise OverloadedError("the server is ending; ask again", 5)
            if self._open >= self._most:
                raise OverloadedError("too much is being worked on; ask again", 2)
            self._open += 1
        future = self._threads.submit(work)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[T]) -> None:
        with self._lock:
            self._open -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns.

        Raises:
            OverloadedError: there is no place left.
        """
        return await asyncio.wrap_future(self._submit(work))

    async def stream(self, work: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """What ``work`` yields, made as fast as it can be, however slow it is taken.

        A client that reads slowly holds no thread, and one that is gone ends the work with the
        next item.

        Raises:
            OverloadedError: there is no place left.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[tuple[bool, T | BaseException | None]] = asyncio.Queue()
        gone = threading.Event()

        def put(more: bool, item: T | BaseException | None) -> None:
            if not gone.is_set():
                loop.call_soon_threadsafe(items.put_nowait, (more, item))

        def produce() -> None:
            try:
                for item in work():
                    put(True, item)
                    if gone.is_set():
                        return
            except BaseException as e:
                put(False, e)
            else:
                put(False, None)

        future = self._submit(produce)
        try:
            while True:
                more, item = await items.get()
                if more:
                    yield item  # type: ignore[misc]
                elif isinstance(item, BaseException):
                    raise item
                else:
                    return
        finally:
            gone.set()
            future.cancel()

    def close(self) -> None:
        """Wait for what goes on; nothing more is taken."""
        with self._lock:
            self._ending.set()
        self._threads.shutdown()
