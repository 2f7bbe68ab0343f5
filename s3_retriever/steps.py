"""Work that asks something outside on its way, written once for callers that wait or await.

A generator yields what it asks, is sent the answer, and returns its result; who drives it decides
how the answer is had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

__all__ = ["adrive", "drive"]

Q = TypeVar("Q")
R = TypeVar("R")


def drive(steps: Generator[Q, Any, R], answer: Callable[[Q], Any]) -> R:
    """What the generator returns.

    Args:
        steps: yields questions; what ``answer`` raises is raised there.
        answer: to one question.

    Example:
        >>> def twice(word):
        ...     first = yield word
        ...     second = yield first
        ...     return second
        >>> drive(twice("a"), lambda text: text + text)
        'aaaa'
    """
    try:
        asked = next(steps)
        while True:
            try:
                found = answer(asked)
            except Exception as e:
                asked = steps.throw(e)
            else:
                asked = steps.send(found)
    except StopIteration as end:
        result: R = end.value
        return result


async def adrive(steps: Generator[Q, Any, R], answer: Callable[[Q], Awaitable[Any]]) -> R:
    """As :func:`drive`, with answers that are awaited.

    Example:
        >>> import asyncio
        >>> def twice(word):
        ...     first = yield word
        ...     second = yield first
        ...     return second
        >>> async def doubled(text):
        ...     return text + text
        >>> asyncio.run(adrive(twice("a"), doubled))
        'aaaa'
    """
    try:
        asked = next(steps)
        while True:
            try:
                found = await answer(asked)
            except Exception as e:
                asked = steps.throw(e)
            else:
                asked = steps.send(found)
    except StopIteration as end:
        result: R = end.value
        return result
