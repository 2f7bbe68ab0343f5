"""Requests of several threads, answered together: who waits for a turn shares it with the others.

There is no thread of its own and no waiting for company: a request that comes alone is answered at
once, and those that come meanwhile are the next round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from s3_retriever.forking import ForkLock

__all__ = ["Rounds"]

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(eq=False)
class _Waiting(Generic[Q, A]):
    request: Q
    answer: A | None = None
    error: Exception | None = None
    done: bool = False


class Rounds(Generic[Q, A]):
    """Answers one round of requests at a time, in the thread of one of those who ask.

    Example:
        >>> rounds = Rounds(most=8)
        >>> rounds.ask(21, lambda numbers: [2 * n for n in numbers])
        42
    """

    def __init__(self, most: int) -> None:
        """Start with nobody waiting.

        Args:
            most: requests of one round.
        """
        self._most = most
        self._waiting: deque[_Waiting[Q, A]] = deque()
        self._turn = ForkLock()

    def ask(self, request: Q, answer: Callable[[Sequence[Q]], Sequence[A]]) -> A:
        """The answer to one request.

        Args:
            request: what is asked.
            answer: the answers to some requests, in their order; the same for everybody who asks.
                (Not given once and kept: whoever holds the rounds is often held by it.)

        Raises:
            Exception: what ``answer`` raises for this request; others of its round are answered
                all the same, each alone.
        """
        mine: _Waiting[Q, A] = _Waiting(request)
        self._waiting.append(mine)
        try:
            while not mine.done:
                with self._turn:
                    if not mine.done:
                        self._round(answer)
        finally:  # whoever is interrupted wants nothing any more
            mine.done = True
        if mine.error is not None:
            raise mine.error
        return cast(A, mine.answer)

    def _round(self, answer: Callable[[Sequence[Q]], Sequence[A]]) -> None:
        """Answer those who came first."""
        batch: list[_Waiting[Q, A]] = []
        while self._waiting and len(batch) < self._most:
            one = self._waiting.popleft()
            if not one.done:
                batch.append(one)
        try:
            _answer_all(batch, answer)
        finally:  # a thread that is interrupted leaves the others to themselves
            self._waiting.extendleft(one for one in reversed(batch) if not one.done)


def _answer_all(
    batch: Sequence[_Waiting[Q, A]], answer: Callable[[Sequence[Q]], Sequence[A]]
) -> None:
    try:
        answers = answer([one.request for one in batch])
    except Exception as e:
        if len(batch) > 1:
            for one in batch:
                _answer_all([one], answer)
        else:
            batch[0].error, batch[0].done = e, True
        return
    for one, found in zip(batch, answers, strict=True):
        one.answer, one.done = found, True
