"""One question's spans as they are sent: the work of a thread or of a process beside."""

from __future__ import annotations

from time import perf_counter

from s3_retriever.engine import Engine
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.server.schemas.search import SearchRequest, SearchResponse, SpanBody

__all__ = ["find"]


def find(engine: Engine, asked: SearchRequest, cache: QueryCache, began: float) -> str:
    """The response to a question, as JSON.

    Args:
        engine: of its namespace.
        asked: the question.
        cache: what was read for it.
        began: when it came, on the clock that all processes of this machine share.

    Raises:
        InputError: as of ``Engine.retrieve``.
    """
    found = engine.retrieve(
        asked.question,
        max_tokens=asked.max_tokens,
        k=asked.k,
        filter=asked.filter,
        mode=asked.mode,
        scoring=asked.scoring,
        token_scores=asked.token_scores,
        query_cache=cache,
    )
    response = SearchResponse(
        spans=[SpanBody.of(span) for span in found],
        highest_score=engine.highest_score(asked.mode),
        milliseconds=round(1000 * (perf_counter() - began), 1),
    )
    return response.model_dump_json()
