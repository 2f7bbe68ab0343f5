"""What a forked child needs to go on: locks that are free, and the state that they guard whole.

A web server that loads an application before it forks its workers (gunicorn's ``--preload``), or
``multiprocessing`` with the start method ``fork``, copies a process with one of its threads. What
another thread held at that moment is held for ever in the child.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from types import TracebackType
from typing import ClassVar

__all__ = ["ForkLock"]


class ForkLock:
    """A lock of a thread that may take it again, which is free in a forked child.

    Example:
        >>> lock = ForkLock()
        >>> with lock, lock:
        ...     pass
    """

    _all: ClassVar[weakref.WeakSet[ForkLock]] = weakref.WeakSet()
    _numbers: ClassVar[itertools.count[int]] = itertools.count()
    _taken: ClassVar[tuple[ForkLock, ...]] = ()

    def __init__(self, *, awaited: bool = False) -> None:
        """Make a free one.

        Args:
            awaited: a fork waits for it, so that what it guards is whole in the child. Only for
                what is held for moments, by threads that meanwhile wait for no other such lock
                than a later one.
        """
        self._lock = threading.RLock()
        self._awaited = awaited
        self._number = next(ForkLock._numbers)
        ForkLock._all.add(self)

    def __enter__(self) -> ForkLock:
        """Wait until it is free, and take it."""
        self._lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self._lock.release()

    @classmethod
    def _before(cls) -> None:
        taken = []
        for lock in sorted(cls._all, key=lambda lock: lock._number):
            if lock._awaited:
                lock._lock.acquire()
                taken.append(lock)
        cls._taken = tuple(taken)

    @classmethod
    def _after(cls) -> None:
        taken, cls._taken = cls._taken, ()
        for lock in reversed(taken):
            lock._lock.release()

    @classmethod
    def _after_in_child(cls) -> None:
        cls._after()
        for lock in list(cls._all):
            # free, or held by the thread that forked and lives on; else its holder is gone
            if lock._lock.acquire(blocking=False):
                lock._lock.release()
            else:
                lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # where there is fork
    os.register_at_fork(
        before=ForkLock._before,
        after_in_parent=ForkLock._after,
        after_in_child=ForkLock._after_in_child,
    )
