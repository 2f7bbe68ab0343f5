"""What chat models of any framework ask of a model, be it in this process or a server's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Protocol

from s3_retriever.client import RemoteChat
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.reply import Reply

__all__ = ["Writing", "chat_config", "prompt_window", "reply_to"]

_TEMPLATE = 64
"""Tokens for what a chat template puts around a message, where it cannot be asked."""


class Writing(Protocol):
    """An answer while it is written: pieces for who iterates or awaits, once; then what it took."""

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt, template included."""

    @property
    def n_written(self) -> int:
        """Tokens generated."""

    @property
    def finish_reason(self) -> str:
        """``stop`` or ``length``."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text."""

    def __aiter__(self) -> AsyncIterator[str]:
        """The same; the event loop stays free."""


def reply_to(
    llm: LanguageModel | RemoteChat,
    messages: Sequence[Mapping[str, str]],
    *,
    max_tokens: int,
    temperature: float,
    stops: str | Sequence[str],
) -> Writing:
    """What a model says to a conversation; it starts with the first piece taken.

    Args:
        llm: the resident model, or a server's.
        messages: ``role`` and ``content`` of each; at least one.
        max_tokens: most tokens to write.
        temperature: 0 always takes the likeliest token.
        stops: strings before which the answer ends, or one.

    Raises:
        InputError: there is nothing to answer, an argument is out of range, or the chat template
            refuses the roles; a server says so with the first piece.
    """
    if isinstance(llm, RemoteChat):
        return llm.reply(messages, max_tokens=max_tokens, temperature=temperature, stops=stops)
    return Reply.to(llm, messages, max_tokens=max_tokens, temperature=temperature, stops=stops)


def prompt_window(llm: LanguageModel | RemoteChat) -> int:
    """Most tokens of one message and its answer, without what the chat template adds.

    Args:
        llm: the resident model, or a server's, which is asked the first time.
    """
    if isinstance(llm, RemoteChat):
        return max(1, llm.ask_window() - _TEMPLATE)
    around = len(llm.chat_ids([{"role": "user", "content": ""}]))
    return max(1, llm.window - around)


def chat_config(llm: LanguageModel | RemoteChat) -> dict[str, Any]:
    """Where a chat model's model is: what ``chat_from_config`` reads."""
    if isinstance(llm, RemoteChat):
        return {"url": llm.transport.url}
    return {"model": llm.name}
