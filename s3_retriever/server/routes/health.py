"""Whether the server is there, what it holds, and what it counted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from s3_retriever import __version__
from s3_retriever.html import api_html
from s3_retriever.retrieval.presets import mode_names
from s3_retriever.server.asking import CallerHere, ResidentHere, allowed
from s3_retriever.server.failures import Failure
from s3_retriever.server.schemas.base import Namespace
from s3_retriever.server.schemas.documents import InfoResponse

__all__ = ["router"]

router = APIRouter(tags=["server"])


@router.get("/healthz")
async def healthz(resident: ResidentHere) -> dict[str, str]:
    """The process answers, and says which it is: it has another number each time it starts."""
    return {"status": "ok", "instance": resident.instance}


@router.get("/readyz")
def readyz(resident: ResidentHere) -> dict[str, str]:
    """Questions are taken: the index can be read, and the queue is not full."""
    if resident.questions.n_open >= resident.settings.most_waiting:
        raise Failure(503, "too many questions are waiting", retry_after=1)
    resident.engine.refresh()
    return {"status": "ready"}


@router.get("/metrics")
def metrics(resident: ResidentHere) -> Response:
    """Counters in Prometheus' text format."""
    return Response(resident.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """All endpoints on one page, which loads nothing from elsewhere."""
    return HTMLResponse(api_html(request.app.openapi()))


@router.get("/v1/info")
def info(
    resident: ResidentHere,
    caller: CallerHere,
    namespace: Annotated[Namespace | None, Query()] = None,
) -> InfoResponse:
    """The model, the profile, and how much a namespace holds."""
    used = allowed(caller, namespace)
    engine = resident.engine_of(used)
    view = engine.documents.view
    known = resident.engine.namespaces() if caller.namespaces is None else caller.namespaces
    return InfoResponse(
        version=__version__,
        model=engine.llm.name,
        profile=engine.profile.card.name,
        window=engine.llm.window,
        documents=view.n_documents,
        tokens=view.n_tokens,
        namespace=used,
        namespaces=list(known),
        modes=list(mode_names()),
        default_mode=engine.default_mode,
        writable=caller.writable,
    )
