"""What chat models of any framework ask of a model, be it in this process or a server's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from s3_retriever.client import RemoteChat
from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.reply import Reply
from s3_retriever.quoting import brief

__all__ = ["Writing", "chat_config", "not_written", "prompt_window", "reply_to"]

_TOOLS = ("bind_tools", "functions", "tool_choice", "tools")
_STRUCTURE = ("format", "output_cls", "response_format", "with_structured_output")

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
    top_p: float = 1.0,
    **others: Any,
) -> Writing:
    """What a model says to a conversation; it starts with the first piece taken.

    Args:
        llm: the resident model, or a server's.
        messages: ``role`` and ``content`` of each; at least one.
        max_tokens: most tokens to write.
        temperature: 0 always takes the likeliest token.
        stops: strings before which the answer ends, or one.
        top_p: draw among the likeliest tokens that have this probability together.
        **others: what no answer is written with; refused with what to use instead.

    Raises:
        InputError: there is nothing to answer, an argument is out of range, or the chat template
            refuses the roles; a server says so with the first piece.
    """
    for name, value in others.items():
        if value is not None:
            raise not_written(name)
    reply = llm.reply if isinstance(llm, RemoteChat) else partial(Reply.to, llm)
    return reply(messages, max_tokens=max_tokens, temperature=temperature, top_p=top_p, stops=stops)


def not_written(name: str) -> InputError:
    """The error for an option of other chat models: says what to use instead.

    Example:
        >>> print(not_written("response_format"))
        response_format is not supported: the model writes free text; ask for JSON in the prompt and
        read it with an output parser, or use another model for that step
    """
    if name in _TOOLS:
        reason = (
            "the model calls no tools; let the program retrieve and the model answer (a chain or a "
            "query engine), or give an agent with another model this retriever as its tool"
        )
    elif name in _STRUCTURE:
        reason = (
            "the model writes free text; ask for JSON in the prompt and read it with an output "
            "parser, or use another model for that step"
        )
    else:
        reason = "an answer takes max_tokens, temperature, top_p and stop"
    return InputError(f"{brief(name)} is not supported: {reason}")


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
