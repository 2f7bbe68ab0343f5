"""Methods of a part as methods of the whole, with their signatures and docstrings."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["forwarded", "in_thread"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


def forwarded(
    part: str, method: Callable[Concatenate[S, P], R]
) -> Callable[Concatenate[Any, P], R]:
    """A method that calls the same one of the attribute ``part``.

    Example:
        >>> class Library:
        ...     def __init__(self) -> None:
        ...         self.books = ["a", "b"]
        ...     index = forwarded("books", list.index)
        >>> Library().index("b")
        1
    """

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        found: R = getattr(getattr(self, part), method.__name__)(*args, **kwargs)
        return found

    return call


def in_thread(
    method: Callable[Concatenate[T, P], R],
) -> Callable[Concatenate[T, P], Coroutine[Any, Any, R]]:
    """The same method, run in a thread: the event loop goes on.

    Example:
        >>> class Sum:
        ...     def of(self, a: int, b: int) -> int:
        ...         return a + b
        ...     aof = in_thread(of)
        >>> asyncio.run(Sum().aof(1, 2))
        3
    """

    @functools.wraps(method)
    async def call(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    return call
