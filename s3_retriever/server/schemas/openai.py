"""OpenAI's chat completions: of their fields those that can be honoured, and one of this server's.

A field that would change the answer and cannot be honoured is refused, not passed over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.server.schemas.answers import CitationBody
from s3_retriever.server.schemas.base import (
    Count,
    FilterField,
    ModeField,
    Namespace,
    Request,
    Response,
)
from s3_retriever.server.schemas.search import SpanBody

__all__ = [
    "ChatChoice",
    "ChatChunk",
    "ChatChunkChoice",
    "ChatCompletion",
    "ChatDelta",
    "ChatMessage",
    "ChatReply",
    "ChatRequest",
    "ModelBody",
    "ModelList",
    "RetrievalBody",
    "RetrieveOptions",
    "StreamOptions",
    "Usage",
]

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
}
"""Fields that are not supported, and the values that ask for nothing."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)


class ChatMessage(_Lenient):
    """A turn of the conversation."""

    role: Annotated[str, Field(max_length=32)]
    content: str | list[dict[str, Any]]
    """Text, or parts of the type ``text``."""

    @property
    def text(self) -> str:
        """All of it as one text.

        Raises:
            ValueError: a part that is no text.

        Example:
            >>> ChatMessage(role="user", content=[{"type": "text", "text": "Hi"}]).text
            'Hi'
        """
        if isinstance(self.content, str):
            return self.content
        texts = []
        for part in self.content:
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise ValueError("a part of a message is no text; this model reads texts alone")
            texts.append(part["text"])
        return "".join(texts)


class StreamOptions(_Lenient):
    """What a stream brings besides."""

    include_usage: bool = False


class RetrieveOptions(Request):
    """Answer the last message from the index."""

    max_tokens: Count = 512
    """Budget of the evidence."""
    k: Count | None = None
    filter: FilterField | None = None
    mode: ModeField | None = None
    scoring: Literal["attention", "coactivation"] | None = None
    namespace: Namespace | None = None


class ChatRequest(_Lenient):
    """A conversation to be continued."""

    model: str
    """As ``/v1/models`` lists it."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=4096)]
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=2**31)] | None = None
    max_completion_tokens: Annotated[int, Field(strict=True, ge=1, le=2**31)] | None = None
    """The newer name of ``max_tokens``; by default 512."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """By default 0: the likeliest token, always."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Draw among the likeliest tokens that have this probability together; by default all."""
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    retrieve: RetrieveOptions | None = None
    """Not OpenAI's: find evidence for the last message and answer from it. With their client:
    ``extra_body={"retrieve": {}}``."""

    def unsupported(self) -> str | None:
        """The first field that asks for what there is not."""
        for name, value in (self.model_extra or {}).items():
            if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
                return name
        return None

    @property
    def most_tokens(self) -> int:
        """Longest answer."""
        return self.max_completion_tokens or self.max_tokens or 512

    @property
    def stops(self) -> list[str]:
        """Strings before which the answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class Usage(Response):
    """Tokens of the prompt, the template included, and of the answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class RetrievalBody(Response):
    """Not OpenAI's: what an answer from the index had before it, and what it rests on."""

    spans: list[SpanBody]
    citations: list[CitationBody]


class ChatReply(Response):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(Response):
    """The one answer."""

    index: int = 0
    message: ChatReply
    finish_reason: str
    logprobs: None = None


class ChatCompletion(Response):
    """The whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    retrieval: RetrievalBody | None = None


class ChatDelta(Response):
    """What a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(Response):
    """The one answer, continued."""

    index: int = 0
    delta: ChatDelta
    finish_reason: str | None = None
    logprobs: None = None


class ChatChunk(Response):
    """A piece of a streamed answer; the last one that holds a choice has ``retrieval``."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None
    retrieval: RetrievalBody | None = None


class ModelBody(Response):
    """A model that can be asked."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "s3-retriever"


class ModelList(Response):
    """The resident model."""

    object: Literal["list"] = "list"
    data: list[ModelBody]
