"""Ranking texts: ``/v1/rerank`` (Cohere, Jina), ``/v2/rerank`` (Cohere), ``/rerank`` (TEI)."""

from __future__ import annotations

from uuid import uuid4

from fastapi import APIRouter

from s3_retriever.server.asking import ResidentHere
from s3_retriever.server.ranking import Ranked, rank
from s3_retriever.server.resident import Resident
from s3_retriever.server.routes.openai import model_id
from s3_retriever.server.schemas.rerank import (
    RankedText,
    RerankDocument,
    RerankRequest,
    RerankResponse,
    RerankResult,
    RerankUsage,
    TeiRequest,
)

__all__ = ["router"]

router = APIRouter(tags=["rerank"])


@router.post("/v1/rerank", response_model_exclude_none=True)
@router.post("/v2/rerank", response_model_exclude_none=True)
async def rerank(asked: RerankRequest, resident: ResidentHere) -> RerankResponse:
    """Order documents by the best evidence that each has for a question; nothing is kept."""
    llm = resident.engine.llm

    def work() -> tuple[list[Ranked], int]:
        texts = asked.texts
        if asked.max_tokens_per_doc is not None:
            texts = [_cut(resident, text, asked.max_tokens_per_doc) for text in texts]
        n_tokens = sum(map(llm.count_tokens, [asked.query, *texts]))
        return rank(resident.engine, asked.query, texts), n_tokens

    ranked, n_tokens = await resident.works.run(work)
    texts = asked.texts
    results = [
        RerankResult(
            index=item.index,
            relevance_score=item.relevance,
            document=RerankDocument(text=texts[item.index]) if asked.return_documents else None,
        )
        for item in ranked[: asked.top_n]
    ]
    return RerankResponse(
        id=uuid4().hex,
        model=model_id(llm),
        results=results,
        usage=RerankUsage(total_tokens=n_tokens, prompt_tokens=n_tokens),
        meta={"billed_units": {"search_units": 1}},
    )


@router.post("/rerank", response_model_exclude_none=True)
async def rerank_texts(asked: TeiRequest, resident: ResidentHere) -> list[RankedText]:
    """The same in the words of text-embeddings-inference."""
    ranked = await resident.works.run(lambda: rank(resident.engine, asked.query, asked.texts))
    return [
        RankedText(
            index=item.index,
            score=item.score if asked.raw_scores else item.relevance,
            text=asked.texts[item.index] if asked.return_text else None,
        )
        for item in ranked
    ]


def _cut(resident: Resident, text: str, most_tokens: int) -> str:
    tokens = resident.engine.llm.tokenize(text)
    return text if len(tokens) <= most_tokens else text[: int(tokens.ends[most_tokens - 1])]
