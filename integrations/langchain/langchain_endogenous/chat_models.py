"""The resident language model as a LangChain chat model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
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
from pydantic import Field, model_validator

from s3_retriever.errors import InputError
from s3_retriever.integration import chat_from_config, renamed_argument
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.reply import Reply

__all__ = ["ChatEndogenous"]

_ROLES: tuple[tuple[type[BaseMessage], str], ...] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
)


class ChatEndogenous(BaseChatModel):
    """A chat model over weights that are already in memory.

    :attr:`EndogenousRetriever.llm` is one over the very weights that retrieve. Tools, structured
    output and images are not supported.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> resident = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> chat = ChatEndogenous(llm=resident, max_tokens=16)
        >>> chat.invoke("What is the capital of France?").text
        'The capital of France is Paris.'
    """

    llm: LanguageModel = Field(exclude=True, repr=False)
    """The model and its tokenizer; not a copy."""
    max_tokens: int = Field(default=256, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 always takes the likeliest token."""
    stop: list[str] | None = None
    """Strings before which an answer ends; those of a call come in their place."""

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, data: Any) -> Any:
        return renamed_argument(data, "generator", "llm")

    @property
    def model_name(self) -> str:
        """Hub id, folder or file that the weights came from."""
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
            "stop": self.stop,
        }

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of ``text`` in the model's own vocabulary; LangChain counts tokens with it."""
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
        text = "".join(reply)
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
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(reply),
                response_metadata=self._response_metadata(reply),
                chunk_position="last",
            ),
            generation_info={"finish_reason": reply.finish_reason},
        )

    def _response_metadata(self, reply: Reply) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": reply.finish_reason}

    def to_config(self) -> dict[str, Any]:
        """The model as JSON values: where its weights come from and its settings."""
        own = {"max_tokens": self.max_tokens, "temperature": self.temperature, "stop": self.stop}
        return {"model": self.llm.name, **own}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, llm: LanguageModel | None = None
    ) -> ChatEndogenous:
        """Make the model that :meth:`to_config` describes; ``llm`` is used instead of loading it.

        Raises:
            ModelError: the weights cannot be found or read.
        """
        return chat_from_config(cls, config, llm)

    def _reply(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stream: bool = False,  # LangChain hands it on after it has acted on it
    ) -> Reply:
        """The answer that is about to be written."""
        return Reply.to(
            self.llm,
            [{"role": _role(message), "content": _text(message)} for message in messages],
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            temperature=self.temperature if temperature is None else temperature,
            stops=(self.stop if stop is None else stop) or [],
        )


def _usage(reply: Reply) -> UsageMetadata:
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
                f"a {type(message).__name__} holds {', '.join(sorted(map(str, kinds)))}; "
                "the model reads text only"
            )
    return str(message.text)
