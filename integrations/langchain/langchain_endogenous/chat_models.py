"""The resident language model as a LangChain chat model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
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
from pydantic import Field

from langchain_endogenous.stopping import until_stop
from s3_retriever.errors import InputError
from s3_retriever.generator.generator import Generator

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
        >>> from s3_retriever.generator.generator import Generator
        >>> generator = Generator.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> llm = ChatEndogenous(generator=generator, max_tokens=16)
        >>> llm.invoke("What is the capital of France?").text
        'The capital of France is Paris.'
    """

    generator: Generator = Field(exclude=True, repr=False)
    """The model and its tokenizer; not a copy."""
    max_tokens: int = Field(default=256, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 always takes the likeliest token."""
    stop: list[str] | None = None
    """Strings before which an answer ends; those of a call come in their place."""

    @property
    def model_name(self) -> str:
        """Hub id, folder or file that the weights came from."""
        return self.generator.name

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
        ids: list[int] = self.generator.tokenize(text).ids.tolist()
        return ids

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = self._prompt(messages)
        text = "".join(self._pieces(prompt, stop, **kwargs))
        message = AIMessage(
            content=text,
            usage_metadata=self._usage(prompt, text),
            response_metadata={"model_name": self.model_name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        prompt = self._prompt(messages)
        text = ""
        for piece in self._pieces(prompt, stop, **kwargs):
            text += piece
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(prompt, text),
                response_metadata={"model_name": self.model_name},
                chunk_position="last",
            )
        )

    def _prompt(self, messages: Sequence[BaseMessage]) -> list[int]:
        return self.generator.chat_ids(
            [{"role": _role(message), "content": _text(message)} for message in messages]
        )

    def _pieces(
        self,
        prompt: Sequence[int],
        stop: Sequence[str] | None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stream: bool = False,  # LangChain hands it on after it has acted on it
    ) -> Iterator[str]:
        """The answer piece by piece, up to a stop sequence."""
        max_tokens = self.max_tokens if max_tokens is None else max_tokens
        temperature = self.temperature if temperature is None else temperature
        stops = (self.stop if stop is None else stop) or []
        if max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {max_tokens}")
        if temperature < 0:
            raise InputError(f"temperature must be at least 0, not {temperature}")
        if "" in stops:
            raise InputError("a stop sequence must not be empty")
        written = self.generator.stream(prompt, max_new_tokens=max_tokens, temperature=temperature)
        return until_stop(written, stops)

    def _usage(self, prompt: Sequence[int], text: str) -> UsageMetadata:
        """Tokens of the prompt, template included, and of the answer as it was handed out."""
        n_input, n_output = len(prompt), self.generator.count_tokens(text)
        return UsageMetadata(
            input_tokens=n_input, output_tokens=n_output, total_tokens=n_input + n_output
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
