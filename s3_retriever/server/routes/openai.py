"""``/v1/chat/completions`` and ``/v1/models``, as OpenAI's clients ask for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import Response

from s3_retriever.engine import Engine
from s3_retriever.generation.answer import NOTHING_FOUND, answer_messages, fit_prompt
from s3_retriever.generation.citations import find_citations
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.reply import Reply
from s3_retriever.models.streaming import PieceStream
from s3_retriever.server.asking import CallerHere, ResidentHere, allowed
from s3_retriever.server.events import begun, error_of, event, event_stream, whole
from s3_retriever.server.failures import Failure
from s3_retriever.server.resident import Resident
from s3_retriever.server.routes.answers import cited
from s3_retriever.server.schemas.openai import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatReply,
    ChatRequest,
    ModelBody,
    ModelList,
    RetrievalBody,
    Usage,
)
from s3_retriever.server.schemas.search import SpanBody
from s3_retriever.server.tokens import Caller
from s3_retriever.types import Span

__all__ = ["model_id", "router"]

router = APIRouter(prefix="/v1", tags=["openai"])

_CHARACTERS = 8
"""Of a conversation for each token of the window: more is refused before it is tokenised."""


def model_id(llm: LanguageModel) -> str:
    """The name under which the model is asked: its hub id, or its file's or folder's name."""
    path = Path(llm.name)
    return path.name if path.is_absolute() else llm.name


@router.get("/models")
def models(resident: ResidentHere) -> ModelList:
    """The resident model."""
    return ModelList(data=[_model(resident)])


@router.get("/models/{model:path}")
def model(model: str, resident: ResidentHere) -> ModelBody:
    """The resident model, by its name."""
    _check_model(resident, model)
    return _model(resident)


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def chat(
    asked: ChatRequest, request: Request, resident: ResidentHere, caller: CallerHere
) -> Response:
    """Continue a conversation; with ``retrieve``, answer its last message from the index."""
    _check_model(resident, asked.model)
    if (field := asked.unsupported()) is not None:
        raise Failure(400, f"{field} is not supported", code="unsupported", param=field)
    messages = _messages(asked, resident.engine.llm.window)
    spans: tuple[Span, ...] | None = None
    if asked.retrieve is not None:
        spans = await _evidence(asked, messages[-1]["content"], resident, caller)
        question = messages[-1]["content"]
        messages = [*messages[:-1], *answer_messages(question, spans)]
    nothing = spans is not None and not spans
    reply = await resident.works.run(
        lambda: (
            _nothing_found(resident.engine)
            if nothing
            else Reply.to(
                resident.engine.llm,
                messages,
                max_tokens=asked.most_tokens,
                temperature=asked.temperature or 0.0,
                top_p=1.0 if asked.top_p is None else asked.top_p,
                stops=asked.stops,
            )
        )
    )
    writing = _Writing(f"chatcmpl-{uuid4().hex}", model_id(resident.engine.llm), reply, spans)
    if not asked.stream:
        text = await whole(request, resident.works.stream(lambda: iter(reply)))
        resident.metrics.written(reply.n_written)
        return Response(writing.whole(text).model_dump_json(), media_type="application/json")
    pieces = await begun(resident.works.stream(lambda: iter(reply)))
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    return event_stream(_chunks(writing, pieces, with_usage, resident, request.state.request_id))


def _nothing_found(engine: Engine) -> Reply:
    n_tokens = engine.llm.count_tokens(NOTHING_FOUND)
    written = PieceStream(iter([(NOTHING_FOUND, n_tokens)]))
    return Reply(written, (), n_prompt=0, max_tokens=n_tokens + 1)


async def _evidence(
    asked: ChatRequest, question: str, resident: Resident, caller: Caller
) -> tuple[Span, ...]:
    options = asked.retrieve
    assert options is not None

    def find(engine: Engine, cache: QueryCache) -> tuple[Span, ...]:
        found = engine.retrieve(
            question,
            max_tokens=options.max_tokens,
            k=options.k,
            filter=options.filter,
            mode=options.mode,
            scoring=options.scoring,
            query_cache=cache,
        )
        return fit_prompt(engine.llm, question, found, options.max_tokens)[1] if found else ()

    namespace = allowed(caller, options.namespace)
    return await asyncio.wrap_future(resident.ask(namespace, question, find))


async def _chunks(
    writing: _Writing,
    pieces: AsyncIterator[str],
    with_usage: bool,
    resident: Resident,
    request_id: str,
) -> AsyncIterator[bytes]:
    yield event(writing.chunk(ChatDelta(role="assistant", content="")))
    text = ""
    try:
        async for piece in pieces:
            text += piece
            yield event(writing.chunk(ChatDelta(content=piece)))
    except Exception as e:
        yield event(error_of(e, request_id))
        return
    resident.metrics.written(writing.reply.n_written)
    yield event(writing.last_chunk(text))
    if with_usage:
        yield event(writing.usage_chunk())
    yield event("[DONE]")


class _Writing:
    """One answer in OpenAI's form."""

    def __init__(self, name: str, model: str, reply: Reply, spans: tuple[Span, ...] | None) -> None:
        self.reply = reply
        self._name = name
        self._model = model
        self._spans = spans
        self._created = int(time.time())

    def whole(self, text: str) -> ChatCompletion:
        choice = ChatChoice(message=ChatReply(content=text), finish_reason=self.reply.finish_reason)
        return ChatCompletion(
            id=self._name,
            created=self._created,
            model=self._model,
            choices=[choice],
            usage=self._usage(),
            retrieval=self._retrieval(text),
        )

    def chunk(
        self,
        delta: ChatDelta,
        finish_reason: str | None = None,
        retrieval: RetrievalBody | None = None,
    ) -> ChatChunk:
        return ChatChunk(
            id=self._name,
            created=self._created,
            model=self._model,
            choices=[ChatChunkChoice(delta=delta, finish_reason=finish_reason)],
            retrieval=retrieval,
        )

    def last_chunk(self, text: str) -> ChatChunk:
        return self.chunk(ChatDelta(), self.reply.finish_reason, self._retrieval(text))

    def usage_chunk(self) -> ChatChunk:
        return ChatChunk(
            id=self._name,
            created=self._created,
            model=self._model,
            choices=[],
            usage=self._usage(),
        )

    def _usage(self) -> Usage:
        prompt, written = self.reply.n_prompt, self.reply.n_written
        return Usage(prompt_tokens=prompt, completion_tokens=written, total_tokens=prompt + written)

    def _retrieval(self, text: str) -> RetrievalBody | None:
        if self._spans is None:
            return None
        return RetrievalBody(
            spans=[SpanBody.of(span) for span in self._spans],
            citations=cited(self._spans, find_citations(text, self._spans)),
        )


def _messages(asked: ChatRequest, window: int) -> list[dict[str, str]]:
    try:
        found = [{"role": m.role, "content": m.text} for m in asked.messages]
    except ValueError as e:
        raise Failure(400, str(e), param="messages") from None
    if sum(len(m["content"]) for m in found) > _CHARACTERS * window:
        message = f"the conversation is too long for a window of {window} tokens"
        raise Failure(400, message, code="context_length_exceeded", param="messages")
    return found


def _model(resident: Resident) -> ModelBody:
    return ModelBody(id=model_id(resident.engine.llm), created=resident.started)


def _check_model(resident: Resident, wanted: str) -> None:
    if wanted != model_id(resident.engine.llm):
        message = "there is no such model; /v1/models lists the resident one"
        raise Failure(404, message, code="model_not_found", param="model")
