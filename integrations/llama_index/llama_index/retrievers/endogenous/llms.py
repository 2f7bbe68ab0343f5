"""The resident language model as a LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.retrievers.endogenous.counting import count_in_own_tokens
from llama_index.retrievers.endogenous.fitting import as_texts, fitting
from pydantic import ConfigDict, Field, field_validator, model_validator

from s3_retriever.client import RemoteChat
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    Writing,
    chat_config,
    chat_from_config,
    opened,
    prompt_window,
    renamed_argument,
    reply_to,
)
from s3_retriever.models.base import LanguageModel
from s3_retriever.quoting import quoted

__all__ = ["EndogenousLLM"]

_ROLES = {
    MessageRole.SYSTEM: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
}


_SETTINGS = ("max_tokens", "temperature", "top_p", "stop")


class EndogenousLLM(CustomLLM):
    """An LLM over weights that are already in memory, here or on a server.

    In place of ``llm`` it takes the ``url`` of a server (``s3-retriever serve``), with ``token``
    and ``timeout`` as of :class:`s3_retriever.client.Client`.

    Completions are chats of one message, so that an instruct model sees its own template. Tools and
    images are not supported. LlamaIndex packs prompts by one tokenizer for all: from here on it is
    this model's (a server is asked for it), unless you have set one (``Settings.tokenizer``).
    Context that it packs in excess is cut, which the log says; what you write yourself is not.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> resident = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> chat = EndogenousLLM(llm=resident, max_tokens=16)
        >>> chat.complete("What is the capital of France?").text
        'The capital of France is Paris.'
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # a token may be among it

    llm: LanguageModel | RemoteChat = Field(exclude=True, repr=False)
    """The model and its tokenizer, not a copy; or a server's."""
    max_tokens: int = Field(default=256, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 always takes the likeliest token."""
    top_p: float = Field(default=1.0, ge=0, le=1)
    """Draw among the likeliest tokens that have this probability together; 1 is all of them."""
    stop: list[str] = Field(default_factory=list)
    """Strings before which an answer ends, or one; those of a call come in their place."""

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def model_post_init(self, context: Any, /) -> None:
        """Let LlamaIndex count in this model's tokens."""
        super().model_post_init(context)
        count_in_own_tokens(self.llm)

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, data: Any) -> Any:
        return opened(renamed_argument(data, "generator", "llm"), "llm", lambda client: client.llm)

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for this class."""
        return "endogenous_llm"

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, llm: LanguageModel | RemoteChat | None = None
    ) -> EndogenousLLM:
        """Make the model that :meth:`to_config` describes; ``llm`` is used instead of loading it.

        Raises:
            ModelError: the weights cannot be found or read.
        """
        return chat_from_config(cls, config, llm)

    @property
    def metadata(self) -> LLMMetadata:
        """Window, longest answer and name, as LlamaIndex asks for them.

        What the chat template puts around a message is taken off the window: LlamaIndex does not
        know of it. A server is asked for its window the first time.
        """
        return LLMMetadata(
            context_window=prompt_window(self.llm),
            num_output=self.max_tokens,
            model_name=self.llm.name,
            is_chat_model=True,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation; ``max_tokens``, ``temperature``, ``top_p``, ``stop`` as given."""
        return _whole(self._reply(messages, **kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """As :meth:`chat`, piece by piece."""
        return _pieces(self._reply(messages, **kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As :meth:`chat`; the event loop stays free."""
        return await _awhole(self._reply(messages, **kwargs))

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """As :meth:`stream_chat`; the event loop stays free."""
        return _apieces(self._reply(messages, **kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer one message; arguments as :meth:`chat`."""
        return _completion(_whole(self._reply([_user(prompt)], **kwargs)))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """As :meth:`complete`, piece by piece."""
        pieces = _pieces(self._reply([_user(prompt)], **kwargs))
        return (_completion(piece) for piece in pieces)  # LlamaIndex knows generators only

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """As :meth:`complete`; the event loop stays free."""
        return _completion(await _awhole(self._reply([_user(prompt)], **kwargs)))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """As :meth:`stream_complete`; the event loop stays free."""
        pieces = _apieces(self._reply([_user(prompt)], **kwargs))
        return (_completion(piece) async for piece in pieces)

    def to_config(self) -> dict[str, Any]:
        """The model as JSON values: where its weights come from and its settings."""
        own = {name: getattr(self, name) for name in _SETTINGS}
        return {**chat_config(self.llm), **own}

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        """A template filled in, with no more context than fits the window."""
        fill = super()._get_messages

        def excess(arguments: Mapping[str, Any]) -> int:
            if isinstance(self.llm, RemoteChat):  # the server counts
                return 0
            conversation = self._conversation(fill(prompt, **arguments))
            return len(self.llm.chat_ids(conversation)) + self.max_tokens - self.llm.window

        return fill(prompt, **fitting(as_texts(prompt_args), excess))

    def _conversation(self, messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
        conversation = [{"role": _role(m), "content": _text(m)} for m in messages]
        if self.system_prompt and not any(m["role"] == "system" for m in conversation):
            conversation.insert(0, {"role": "system", "content": self.system_prompt})
        return conversation

    def _reply(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        **others: Any,
    ) -> Writing:
        """The answer that is about to be written."""
        return reply_to(
            self.llm,
            self._conversation(messages),
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            temperature=self.temperature if temperature is None else temperature,
            top_p=self.top_p if top_p is None else top_p,
            **others,
            stops=self.stop if stop is None else stop,
        )


def _whole(reply: Writing) -> ChatResponse:
    """The answer when it is complete."""
    return _response("".join(reply), None, reply)


def _pieces(reply: Writing) -> ChatResponseGen:
    """The answer so far, with each piece; once more at the end, with what it took."""
    text = ""
    for piece in reply:
        text += piece
        yield _response(text, piece, None)
    yield _response(text, "", reply)


async def _awhole(reply: Writing) -> ChatResponse:
    return _response("".join([piece async for piece in reply]), None, reply)


async def _apieces(reply: Writing) -> ChatResponseAsyncGen:
    text = ""
    async for piece in reply:
        text += piece
        yield _response(text, piece, None)
    yield _response(text, "", reply)


def _response(text: str, delta: str | None, done: Writing | None) -> ChatResponse:
    usage = _usage(done) if done else {}
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, content=text),
        delta=delta,
        raw={"usage": usage},  # where LlamaIndex's token counter looks
        additional_kwargs=usage,
    )


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


def _usage(reply: Writing) -> dict[str, Any]:
    """Under the names that LlamaIndex's token counter looks for."""
    return {
        "prompt_tokens": reply.n_prompt,
        "completion_tokens": reply.n_written,
        "total_tokens": reply.n_prompt + reply.n_written,
        "finish_reason": reply.finish_reason,
    }


def _user(prompt: str) -> ChatMessage:
    if not isinstance(prompt, str):
        raise InputError(f"a prompt is a string, not a {type(prompt).__name__}")
    return ChatMessage(role=MessageRole.USER, content=prompt)


def _role(message: ChatMessage) -> str:
    """The chat template's name for who speaks."""
    if message.role not in _ROLES:
        # it may be any string: LlamaIndex checks the role that is given, not one that is set later
        role = getattr(message.role, "value", message.role)
        raise InputError(
            f"a message of role {quoted(role)} cannot be put into the chat template; "
            "use system, user and assistant"
        )
    return _ROLES[message.role]


def _text(message: ChatMessage) -> str:
    """The text of a message; anything else in it is an error, not left out."""
    other = {type(b).__name__ for b in message.blocks if not isinstance(b, TextBlock)}
    if other:
        raise InputError(f"a message holds {', '.join(sorted(other))}; the model reads text only")
    return message.content or ""
