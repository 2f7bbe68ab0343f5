"""``/v1/search`` and what explains it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import APIRouter
from starlette.responses import Response

from s3_retriever.pages import span_metadata
from s3_retriever.server.asking import CallerHere, ResidentHere, allowed
from s3_retriever.server.failures import Failure
from s3_retriever.server.schemas.search import (
    CompressRequest,
    CompressResponse,
    ExplainRequest,
    ExplainResponse,
    SearchRequest,
    SearchResponse,
    SimilaritiesRequest,
    SimilaritiesResponse,
    SpanBody,
)
from s3_retriever.types import Span

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/search", response_model=SearchResponse)
async def search(asked: SearchRequest, resident: ResidentHere, caller: CallerHere) -> Response:
    """Find the spans that hold the evidence for a question.

    Questions that wait together are read by the model in one pass.
    """
    namespace = allowed(caller, asked.namespace)
    content = await asyncio.wrap_future(resident.search(namespace, asked))
    return Response(content, media_type="application/json")


@router.post("/compress")
async def compress(asked: CompressRequest, resident: ResidentHere) -> CompressResponse:
    """Cut one long text down to what a question needs; the index is not touched."""
    found = await resident.works.run(
        lambda: resident.engine.compress(
            asked.question,
            asked.text,
            asked.max_tokens,
            mode=asked.mode,
            scoring=asked.scoring,
            token_scores=asked.token_scores,
        )
    )
    spans = [SpanBody.of(span) for span in found.spans]
    return CompressResponse(text=found.text, spans=spans, n_tokens=found.n_tokens)


@router.post("/explain")
async def explain(
    asked: ExplainRequest, resident: ResidentHere, caller: CallerHere
) -> ExplainResponse:
    """Say which tokens, heads and features made the model look at a piece of a document."""
    engine = resident.engine_of(allowed(caller, asked.namespace))

    def explained() -> ExplainResponse:
        document = engine.get(asked.doc_id)
        if document is None:
            raise Failure(404, "there is no such document")
        if not asked.start < asked.end <= len(document.text):
            raise Failure(422, "start and end are no range of the document's characters")
        text = document.text[asked.start : asked.end]
        metadata = span_metadata(document.metadata, asked.start, asked.end)
        span = Span(asked.doc_id, asked.start, asked.end, text, 0.0, {}, 0, metadata)
        return ExplainResponse.model_validate(
            asdict(engine.explain(asked.question, span)) | {"span": span.to_dict()}
        )

    return await resident.works.run(explained)


@router.post("/similarities")
def similarities(
    asked: SimilaritiesRequest, resident: ResidentHere, caller: CallerHere
) -> SimilaritiesResponse:
    """How alike pieces of indexed texts are, by the model's features in them."""
    engine = resident.engine_of(allowed(caller, asked.namespace))
    for place in asked.places:
        document = engine.get(place.doc_id)
        if document is None:
            raise Failure(404, "there is no such document")
        if not place.start < place.end <= len(document.text):
            raise Failure(422, "start and end are no range of the document's characters")
    found = engine.similarities([place.ref() for place in asked.places])
    return SimilaritiesResponse(similarities=found.tolist())
