"""``/v1/select`` and ``/v1/tokenize``: texts that a client brings along, and keeps."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter

from s3_retriever.server.asking import ResidentHere
from s3_retriever.server.schemas.search import SearchResponse, SpanBody
from s3_retriever.server.schemas.texts import (
    SelectDocument,
    SelectRequest,
    TokenizeRequest,
    TokenizeResponse,
)
from s3_retriever.types import Document

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["texts"])


@router.post("/select")
async def select(asked: SelectRequest, resident: ResidentHere) -> SearchResponse:
    """Choose the spans of some documents that a question needs, under one budget.

    They are read for this question and forgotten; the index is not touched. Those that are blank
    or no text are left out.
    """
    engine = resident.engine
    began = perf_counter()
    documents = [_numbered(n, document) for n, document in enumerate(asked.documents)]
    found = await resident.works.run(
        lambda: engine.select(
            asked.question,
            documents,
            max_tokens=asked.max_tokens,
            k=asked.k,
            mode=asked.mode,
            scoring=asked.scoring,
            token_scores=asked.token_scores,
        )
    )
    return SearchResponse(
        spans=[SpanBody.of(span) for span in found],
        highest_score=engine.highest_score(asked.mode),
        milliseconds=round(1000 * (perf_counter() - began), 1),
    )


def _numbered(n: int, document: SelectDocument) -> Document:
    return Document(str(n), document.text, document.model_dump(exclude={"text"}, exclude_none=True))


@router.post("/tokenize", response_model_exclude_none=True)
def tokenize(asked: TokenizeRequest, resident: ResidentHere) -> TokenizeResponse:
    """Count texts in the model's own tokens, or give their numbers."""
    llm = resident.engine.llm
    if not asked.ids:
        return TokenizeResponse(counts=[llm.count_tokens(text) for text in asked.texts])
    ids = [llm.tokenize(text).ids.tolist() for text in asked.texts]
    return TokenizeResponse(counts=[len(some) for some in ids], ids=ids)
