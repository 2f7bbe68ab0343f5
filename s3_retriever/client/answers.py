"""An answer from the index that a server is writing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
)
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from s3_retriever.client.events import Event
from s3_retriever.client.failures import error_of_event
from s3_retriever.errors import ServerError
from s3_retriever.server.schemas.answers import AnswerResponse, SpansEvent, TextEvent
from s3_retriever.types import Answer, Span

__all__ = ["AsyncRemoteAnswer", "RemoteAnswer"]

B = TypeVar("B", bound=BaseModel)


class _Reading:
    """What an answer's events have said so far."""

    def __init__(self) -> None:
        self.spans: tuple[Span, ...] = ()
        self.answer: Answer | None = None

    def take(self, event: Event) -> str:
        """The piece of text that an event brings.

        Raises:
            EndogenousError: it is an error.
        """
        if event.name == "error":
            raise error_of_event(event.data)
        if event.name == "spans":
            self.spans = tuple(s.span() for s in _parsed(SpansEvent, event).spans)
        elif event.name == "text":
            return _parsed(TextEvent, event).text
        elif event.name == "done":
            whole = _parsed(AnswerResponse, event)
            self.spans = tuple(s.span() for s in whole.spans)
            cited = tuple(self.spans[c.number - 1] for c in whole.citations)
            self.answer = Answer(whole.text, self.spans, cited)
        return ""

    def ended(self) -> Answer:
        if self.answer is None:
            raise ServerError("the answer broke off before its end")
        return self.answer


class RemoteAnswer:
    """An answer that is being written; it is asked for when this is made."""

    def __init__(self, events: AbstractContextManager[Iterator[Event]]) -> None:
        """Begin to read.

        Args:
            events: of ``/v1/answer``.

        Raises:
            EndogenousError: what the server says instead.
        """
        self._reading = _Reading()
        self._stack = ExitStack()
        self._events = self._stack.enter_context(events)
        with self._closing_on_error():
            first = next(self._events, None)
            if first is not None:
                self._reading.take(first)

    @property
    def spans(self) -> tuple[Span, ...]:
        """What the model has in front of it, in the order of their numbers."""
        return self._reading.spans

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, as the model writes them; only once. Leaving off ends the writing."""
        with self._stack:
            for event in self._events:
                if piece := self._reading.take(event):
                    yield piece

    def result(self) -> Answer:
        """Wait for the end (or take what was already read), with the citations.

        Raises:
            ServerError: the answer broke off.
        """
        for _ in self:
            pass
        return self._reading.ended()

    def close(self) -> None:
        """Have no more written."""
        self._stack.close()

    def _closing_on_error(self) -> ExitStack:
        stack = ExitStack()
        stack.push(lambda kind, *_: self._stack.close() if kind else None)
        return stack


class AsyncRemoteAnswer:
    """As :class:`RemoteAnswer`, awaited."""

    def __init__(self, stack: AsyncExitStack, events: AsyncIterator[Event]) -> None:
        """Read on where :meth:`begun` has begun."""
        self._reading = _Reading()
        self._stack = stack
        self._events = events

    @classmethod
    async def begun(
        cls, events: AbstractAsyncContextManager[AsyncIterator[Event]]
    ) -> AsyncRemoteAnswer:
        """Ask for an answer, and wait until it begins.

        Args:
            events: of ``/v1/answer``.

        Raises:
            EndogenousError: what the server says instead.
        """
        stack = AsyncExitStack()
        answer = cls(stack, await stack.enter_async_context(events))
        try:
            async for first in answer._events:
                answer._reading.take(first)
                break
        except BaseException:
            await stack.aclose()
            raise
        return answer

    @property
    def spans(self) -> tuple[Span, ...]:
        """What the model has in front of it, in the order of their numbers."""
        return self._reading.spans

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text, as the model writes them; only once. Leaving off ends the writing."""
        async with self._stack:
            async for event in self._events:
                if piece := self._reading.take(event):
                    yield piece

    async def result(self) -> Answer:
        """Wait for the end (or take what was already read), with the citations.

        Raises:
            ServerError: the answer broke off.
        """
        async for _ in self:
            pass
        return self._reading.ended()

    async def aclose(self) -> None:
        """Have no more written."""
        await self._stack.aclose()


def _parsed(kind: type[B], event: Event) -> B:
    try:
        return kind.model_validate_json(event.data)
    except ValidationError:
        raise ServerError("the server sent something that is no answer") from None
