"""``/v1/answer``: the model answers from what is found, with citations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from s3_retriever.engine import Engine
from s3_retriever.generation.answer import AnswerStream
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.server.asking import CallerHere, ResidentHere, allowed
from s3_retriever.server.events import begun, error_of, event, event_stream, whole
from s3_retriever.server.schemas.answers import (
    AnswerRequest,
    AnswerResponse,
    CitationBody,
    SpansEvent,
    TextEvent,
)
from s3_retriever.server.schemas.search import SpanBody
from s3_retriever.types import Answer, Span

__all__ = ["cited", "router"]

router = APIRouter(prefix="/v1", tags=["answers"])


@router.post(
    "/answer",
    response_model=AnswerResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def answer(
    asked: AnswerRequest, request: Request, resident: ResidentHere, caller: CallerHere
) -> Response:
    """Answer a question from the index, as the answer is written or in one piece."""
    namespace = allowed(caller, asked.namespace)

    def prepare(engine: Engine, cache: QueryCache) -> AnswerStream:
        return engine.answer(
            asked.question,
            max_tokens=asked.max_tokens,
            max_new_tokens=asked.max_new_tokens,
            k=asked.k,
            filter=asked.filter,
            mode=asked.mode,
            scoring=asked.scoring,
            query_cache=cache,
        )

    stream = await asyncio.wrap_future(resident.ask(namespace, asked.question, prepare))
    if not asked.stream:
        await whole(request, resident.works.stream(lambda: iter(stream)))
        return Response(_body(stream.result()).model_dump_json(), media_type="application/json")
    pieces = await begun(resident.works.stream(lambda: iter(stream)))
    return event_stream(_events(stream, pieces, request.state.request_id))


async def _events(
    stream: AnswerStream, pieces: AsyncIterator[str], request_id: str
) -> AsyncIterator[bytes]:
    yield event(SpansEvent(spans=[SpanBody.of(span) for span in stream.spans]), "spans")
    try:
        async for piece in pieces:
            yield event(TextEvent(text=piece), "text")
    except Exception as e:
        yield event(error_of(e, request_id), "error")
        return
    yield event(_body(stream.result()), "done")


def _body(answer: Answer) -> AnswerResponse:
    return AnswerResponse(
        text=answer.text,
        spans=[SpanBody.of(span) for span in answer.spans],
        citations=cited(answer.spans, answer.citations),
    )


def cited(spans: tuple[Span, ...], citations: tuple[Span, ...]) -> list[CitationBody]:
    """Citations with the numbers that an answer quotes.

    Args:
        spans: all that the model had before it.
        citations: some of them.
    """
    numbers = {id(span): number for number, span in enumerate(spans, start=1)}
    return [CitationBody(number=numbers[id(c)], span=SpanBody.of(c)) for c in citations]
