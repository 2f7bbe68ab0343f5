"""The resident language model as a LangChain chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, field_validator, model_validator

from s3_retriever.client import RemoteChat
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    Writing,
    chat_config,
    chat_from_config,
    not_written,
    opened,
    renamed_argument,
    reply_to,
)
from s3_retriever.models.base import LanguageModel
from s3_retriever.quoting import brief

__all__ = ["ChatEndogenous"]

_ROLES: tuple[tuple[type[BaseMessage], str], ...] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
)


_SETTINGS = ("max_tokens", "temperature", "top_p", "stop")


class ChatEndogenous(BaseChatModel):
    """A chat model over weights that are already in memory, here or on a server.

    :attr:`EndogenousRetriever.llm` is one over the very weights that retrieve. In place of ``llm``
    it takes the ``url`` of a server (``s3-retriever serve``), with ``token`` and ``timeout`` as of
    :class:`s3_retriever.client.Client`. Tools, structured output and images are refused.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> resident = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> chat = ChatEndogenous(llm=resident, max_tokens=16)
        >>> chat.invoke("What is the capital of France?").text
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
    stop: list[str] | None = None
    """Strings before which an answer ends, or one; those of a call come in their place."""

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, data: Any) -> Any:
        return opened(renamed_argument(data, "generator", "llm"), "llm", lambda client: client.llm)

    @property
    def model_name(self) -> str:
        """Hub id, folder or file that the weights came from; of a server the name it gives."""
        return self.llm.name

    @property
    def _llm_type(self) -> str:
        return "endogenous"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": self.stop,
        }

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of ``text`` in the model's own vocabulary; LangChain counts tokens with it.

        A server is asked for them, unless ``custom_get_token_ids`` is given.

        Raises:
            ServerError: it cannot be reached, or refuses.
        """
        if isinstance(self.llm, RemoteChat):
            own = self.custom_get_token_ids
            return self.llm.token_ids(text) if own is None else own(text)
        ids: list[int] = self.llm.tokenize(text).ids.tolist()
        return ids

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """What LangSmith files a run under."""
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "endogenous"
        params["ls_model_name"] = kwargs.get("model", self.model_name)
        params["ls_max_tokens"] = kwargs.get("max_tokens", self.max_tokens)
        params["ls_temperature"] = kwargs.get("temperature", self.temperature)
        if stops := stop or self.stop:
            params["ls_stop"] = stops
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._reply(messages, stop, **kwargs)
        return self._result("".join(reply), reply)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._reply(messages, stop, **kwargs)
        return self._result("".join([piece async for piece in reply]), reply)

    def _result(self, text: str, reply: Writing) -> ChatResult:
        message = AIMessage(
            content=text,
            usage_metadata=_usage(reply),
            response_metadata=self._response_metadata(reply),
        )
        info = {"finish_reason": reply.finish_reason}
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._reply(messages, stop, **kwargs)
        for piece in reply:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        yield self._last_chunk(reply)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = self._reply(messages, stop, **kwargs)
        async for piece in reply:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                await run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        yield self._last_chunk(reply)

    def _last_chunk(self, reply: Writing) -> ChatGenerationChunk:
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(reply),
                response_metadata=self._response_metadata(reply),
                chunk_position="last",
            ),
            generation_info={"finish_reason": reply.finish_reason},
        )

    def _response_metadata(self, reply: Writing) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": reply.finish_reason}

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Refuse: the model calls no tools.

        Raises:
            InputError: always; it says what to use. Agents (``create_agent``) ask here, too.
        """
        raise not_written("bind_tools")

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        """Refuse: the model writes free text.

        Raises:
            InputError: always; it says what to use.
        """
        raise not_written("with_structured_output")

    def to_config(self) -> dict[str, Any]:
        """The model as JSON values: where its weights come from and its settings."""
        own = {name: getattr(self, name) for name in _SETTINGS}
        return {**chat_config(self.llm), **own}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, llm: LanguageModel | RemoteChat | None = None
    ) -> ChatEndogenous:
        """Make the model that :meth:`to_config` describes; ``llm`` is used instead of loading it.

        Raises:
            ModelError: the weights cannot be found or read.
        """
        return chat_from_config(cls, config, llm)

    def _reply(
        self,
        messages: Sequence[BaseMessage],
        stop: str | Sequence[str] | None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stream: bool = False,  # LangChain hands it on after it has acted on it
        **others: Any,
    ) -> Writing:
        """The answer that is about to be written."""
        stops = self.stop if stop is None else stop
        return reply_to(
            self.llm,
            [{"role": _role(message), "content": _text(message)} for message in messages],
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            temperature=self.temperature if temperature is None else temperature,
            top_p=self.top_p if top_p is None else top_p,
            **others,
            stops=[] if stops is None else stops,
        )


def _usage(reply: Writing) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=reply.n_prompt,
        output_tokens=reply.n_written,
        total_tokens=reply.n_prompt + reply.n_written,
    )


def _role(message: BaseMessage) -> str:
    """The chat template's name for who speaks."""
    if isinstance(message, ChatMessage):
        return message.role
    for kind, role in _ROLES:
        if isinstance(message, kind):
            return role
    raise InputError(
        f"a {type(message).__name__} cannot be put into the chat template; "
        "use system, human and AI messages"
    )


def _text(message: BaseMessage) -> str:
    """The text of a message; anything else in it is an error, not left out."""
    if isinstance(message.content, list):
        kinds = {b.get("type") for b in message.content if isinstance(b, dict)} - {"text"}
        if kinds:
            raise InputError(
                f"a {type(message).__name__} holds {', '.join(sorted(map(brief, kinds)))}; "
                "the model reads text only"
            )
    return str(message.text)
