"""The application: routes, and what stands in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from s3_retriever import __version__
from s3_retriever.engine import Engine
from s3_retriever.server.access import Access
from s3_retriever.server.bodies import BoundedBodies
from s3_retriever.server.failures import handle_failures
from s3_retriever.server.resident import Resident
from s3_retriever.server.routes import (
    answers,
    documents,
    files,
    health,
    jobs,
    openai,
    page,
    rerank,
    search,
    texts,
)
from s3_retriever.server.settings import ServerSettings
from s3_retriever.server.tokens import Tokens

__all__ = ["create_app"]


def create_app(
    engine: Engine, settings: ServerSettings | None = None, tokens: Tokens | None = None
) -> FastAPI:
    """The application around an engine; its threads end with the application's lifespan.

    Args:
        engine: around the index that is served.
        settings: bounds.
        tokens: who may ask; ``None``: everybody who reaches the server.

    Raises:
        IndexLockedError: another server has the index.
    """
    settings = settings or ServerSettings()
    resident = Resident(engine, settings, tokens)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(resident.close)

    app = FastAPI(
        title="S3-Retriever",
        version=__version__,
        summary="Exact spans from a resident model's own attention, and answers from them.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.resident = resident
    for part in (search, texts, answers, documents, files, jobs, openai, rerank, health, page):
        app.include_router(part.router)
    handle_failures(app)
    # the last that is added stands in front
    app.add_middleware(BoundedBodies, settings=settings)
    app.add_middleware(Access, resident=resident)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return app
