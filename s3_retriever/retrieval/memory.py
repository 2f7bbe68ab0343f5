"""What questions work out of an index's texts, kept for the questions that follow.

A state of an index never changes, so what was worked out of it once (the words of a sentence, the
passage around it) is true as long as that state is asked; a commit makes another one, which begins
with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from s3_retriever.forking import ForkLock
from s3_retriever.storage.base import CodeStore

__all__ = ["MOST_BYTES", "Memories", "Memory"]

MOST_BYTES = 64 << 20
"""Of one state of an index, as values say their sizes."""

_ENTRY = 320
"""Bytes of a key and of its place."""

T = TypeVar("T")


class Memory:
    """Values by what they are worked out of; those that were not asked for lately are forgotten.

    Two generations, of which the older is dropped when the younger has filled half of the bytes:
    so who looks something up waits for nobody. A value may be made twice, by two threads.

    Example:
        >>> memory = Memory()
        >>> [memory.kept("words", lambda: "a b".split(), len) for _ in range(2)]
        [['a', 'b'], ['a', 'b']]
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with nothing.

        Args:
            most_bytes: of all values and keys.
        """
        self._half = most_bytes // 2
        self._young: dict[Hashable, Any] = {}
        self._old: dict[Hashable, Any] = {}
        self._bytes = 0
        self._lock = ForkLock()

    def kept(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """A value, made if it is not there; nobody may change it.

        Args:
            key: all that the value depends on, beside the index's state.
            make: it.
            size: bytes of a value, about.
        """
        found: T = self._young.get(key, _NOTHING)
        if found is not _NOTHING:
            return found
        found = self._old.get(key, _NOTHING)
        if found is _NOTHING:
            found = make()
        cost = _ENTRY + size(found)
        with self._lock:
            if self._bytes + cost > self._half:
                self._old, self._young, self._bytes = self._young, {}, 0
            if cost <= self._half:
                self._young[key] = found
                self._bytes += cost
        return found


_NOTHING: Any = object()


class Memories:
    """A memory for each state of an index that is asked; it goes when the state does."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_store: WeakKeyDictionary[CodeStore, Memory] = WeakKeyDictionary()
        self._lock = ForkLock()

    def of(self, store: CodeStore) -> Memory:
        """What is remembered of a state; of one that cannot be a key, nothing."""
        with self._lock:
            try:
                found = self._by_store.get(store)
                if found is None:
                    found = self._by_store[store] = Memory()
            except TypeError:
                found = Memory()
            return found
