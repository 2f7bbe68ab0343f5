"""A server's model in a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from s3_retriever.arguments import listed
from s3_retriever.client.events import Event
from s3_retriever.client.failures import error_of_event
from s3_retriever.client.records import parsed
from s3_retriever.client.texts import TextsApi
from s3_retriever.client.transport import Ask, Steps, Transport
from s3_retriever.errors import InputError, ServerError
from s3_retriever.server.schemas.documents import InfoResponse
from s3_retriever.server.schemas.openai import ChatChunk, ModelList

__all__ = ["RemoteChat", "RemoteReply"]

_END = "[DONE]"


class RemoteChat:
    """Continues conversations with the model of a server.

    Example:
        >>> from s3_retriever.client import Client
        >>> Client("http://127.0.0.1:8321").llm.name
        'http://127.0.0.1:8321'
    """

    def __init__(self, transport: Transport) -> None:
        """Take where the server is; nothing is sent.

        Args:
            transport: to it.
        """
        self.transport = transport
        self._model: str | None = None
        self._window: int | None = None

    @property
    def name(self) -> str:
        """The model's name once a conversation has told it; until then the server's address."""
        return self._model or self.transport.url

    def ask_window(self) -> int:
        """Most tokens the model takes at once; the first time the server is asked.

        It is no property: who only looks what this object has must not wait for a server.

        Raises:
            ServerError: it cannot be reached, or refuses.
        """
        if self._window is None:
            self._window = self.transport.run(_window())
        return self._window

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text's tokens in the model's vocabulary; the server is asked.

        Raises:
            InputError: the text has more than a million characters, or cannot be sent.
            ServerError: the server cannot be reached, or refuses.
        """
        return self.transport.run(TextsApi().token_ids([text]))[0]

    def reply(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stops: str | Sequence[str] = (),
    ) -> RemoteReply:
        """What the model says to a conversation; it is asked with the first piece taken.

        Args:
            messages: ``role`` and ``content`` of each; at least one.
            max_tokens: most tokens to write.
            temperature: 0 always takes the likeliest token.
            top_p: draw among the likeliest tokens that have this probability together.
            stops: strings before which the answer ends, or one.

        Raises:
            InputError: there are no messages, or an argument is out of range.
        """
        stops = listed(stops, "stop sequences")
        if not messages:
            raise InputError("there are no messages to answer")
        if max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {max_tokens}")
        if temperature < 0:
            raise InputError(f"temperature must be at least 0, not {temperature}")
        if not 0 <= top_p <= 1:
            raise InputError(f"top_p must be a number from 0 to 1, not {top_p}")
        if not all(isinstance(stop, str) and stop for stop in stops):
            raise InputError("a stop sequence must be a string that is not empty")
        body = {
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "stop": stops or None,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return RemoteReply(self, body)

    def model(self) -> Steps[str]:
        """The name under which the server knows its model."""
        if self._model is None:
            response = yield Ask("GET", "/v1/models")
            models = parsed(ModelList, response).data
            if not models:
                raise ServerError("the server has no model")
            self._model = models[0].id
        return self._model


class RemoteReply:
    """An answer while it is written: pieces for who iterates or awaits, once; then what it took."""

    def __init__(self, chat: RemoteChat, body: dict[str, Any]) -> None:
        """Prepare to ask.

        Args:
            chat: who answers.
            body: of the request, but for the model's name.
        """
        self._chat = chat
        self._body = body
        self.n_prompt = 0
        """Tokens of the prompt, template included."""
        self.n_written = 0
        """Tokens generated."""
        self.finish_reason = "stop"
        """``stop``: the model ended its turn or wrote a stop sequence; ``length``: cut short."""
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; leaving off ends the writing."""
        transport = self._chat.transport
        model = transport.run(self._chat.model())
        with transport.events(self._ask(model)) as events:
            for event in events:
                if piece := self._take(event):
                    yield piece
        self._check_ended()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text; the event loop goes on."""
        transport = self._chat.transport
        model = await transport.arun(self._chat.model())
        async with transport.aevents(self._ask(model)) as events:
            async for event in events:
                if piece := self._take(event):
                    yield piece
        self._check_ended()

    def _ask(self, model: str) -> Ask:
        return Ask("POST", "/v1/chat/completions", {"model": model, **self._body})

    def _take(self, event: Event) -> str:
        """The piece of text that an event brings."""
        if event.data == _END:
            self._ended = True
            return ""
        try:
            chunk = ChatChunk.model_validate_json(event.data)
        except ValidationError:
            raise error_of_event(event.data) from None
        if chunk.usage is not None:
            self.n_prompt = chunk.usage.prompt_tokens
            self.n_written = chunk.usage.completion_tokens
        text = ""
        for choice in chunk.choices:
            text += choice.delta.content or ""
            self.finish_reason = choice.finish_reason or self.finish_reason
        return text

    def _check_ended(self) -> None:
        if not self._ended:
            raise ServerError("the answer broke off before its end")


def _window() -> Steps[int]:
    response = yield Ask("GET", "/v1/info")
    return parsed(InfoResponse, response).window
