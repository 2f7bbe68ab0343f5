"""What all endpoints share: the engine, who may ask, and what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from time import perf_counter
from typing import TypeVar
from uuid import uuid4

from s3_retriever.engine import Engine
from s3_retriever.ingestion import AddReport
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.paths import is_url
from s3_retriever.server.announcing import JOBS
from s3_retriever.server.batching import QuestionQueue
from s3_retriever.server.finding import find
from s3_retriever.server.jobs import Jobs, OnError
from s3_retriever.server.metrics import Metrics
from s3_retriever.server.rates import RateLimits
from s3_retriever.server.schemas.search import SearchRequest
from s3_retriever.server.searchers import Searchers, can_fork
from s3_retriever.server.settings import ServerSettings
from s3_retriever.server.spool import FolderSpool, Spool
from s3_retriever.server.tokens import Tokens
from s3_retriever.server.works import Works
from s3_retriever.types import Document

__all__ = ["Resident"]

T = TypeVar("T")


class Resident:
    """An engine that many ask, with its queues."""

    def __init__(
        self, engine: Engine, settings: ServerSettings, tokens: Tokens | None = None
    ) -> None:
        """Start the threads, and go on with the jobs that a former process left.

        Args:
            engine: around the index that is served.
            settings: bounds.
            tokens: who may ask; ``None``: everybody.

        Raises:
            IndexLockedError: another server has the index.
        """
        place = engine.documents.location
        # jobs of an index in a database are kept in memory: they end with this process
        folder = Path(place) if place and not is_url(place) else None
        spool = FolderSpool(folder / JOBS) if folder else Spool()  # first: it may be taken
        self.engine = engine
        self.folder = folder
        self.instance = uuid4().hex
        self.settings = settings
        n = settings.search_processes
        # before any thread starts: they are forked
        self._searchers = Searchers(engine, n) if n and folder and can_fork() else None
        self.tokens = tokens
        self.started = int(time.time())
        self.rates = RateLimits()
        self.metrics = Metrics()
        self.works = Works(settings.most_works)
        self._nothing = Engine(engine.llm, engine.profile)
        self._namespaces: set[str] = set()
        self._namespaces_lock = threading.Lock()
        self.questions = QuestionQueue(
            engine.cache_queries,
            self.metrics,
            most_waiting=settings.most_waiting,
            most_batch=settings.most_batch,
            wait_seconds=settings.batch_wait_ms / 1000,
            search_threads=max(settings.search_threads, n),
        )
        self.jobs = Jobs(self._read, spool, most_waiting=settings.most_jobs)
        if isinstance(engine.llm, TransformersModel):
            passages = engine.llm.likelihood_cache
            self.metrics.cache(lambda: (passages.n_hits, passages.n_misses))
        self.metrics.gauge("questions_open", "Questions waiting or being answered.", self._open)
        self.metrics.gauge("jobs_open", "Jobs waiting or running.", lambda: self.jobs.n_waiting)
        self.metrics.gauge("works_open", "Answers and the like.", lambda: self.works.n_open)

    def _open(self) -> int:
        return self.questions.n_open

    def engine_of(self, namespace: str | None, *, create: bool = False) -> Engine:
        """The engine of a namespace, or one that is empty if the namespace is not there.

        Args:
            namespace: ``None`` is the index itself.
            create: make the namespace.
        """
        if namespace is None:
            return self.engine
        with self._namespaces_lock:
            if namespace not in self._namespaces:
                if not create and namespace not in self.engine.namespaces():
                    return self._nothing  # whoever only asks leaves no folder behind
                self.engine.namespace(namespace)
                self._namespaces.add(namespace)
        return self.engine.namespace(namespace)

    def ask(
        self, namespace: str | None, question: str, search: Callable[[Engine, QueryCache], T]
    ) -> Future[T]:
        """Have a question read together with others, then searched for in a namespace.

        Raises:
            OverloadedError: too many wait.
        """
        return self.questions.ask(question, lambda cache: search(self.engine_of(namespace), cache))

    def search(self, namespace: str | None, asked: SearchRequest) -> Future[str]:
        """The response to a question, as JSON.

        Raises:
            OverloadedError: too many wait.
        """
        began = perf_counter()

        def found(cache: QueryCache) -> str:
            if self._searchers is not None and self._searchers.takes(asked):
                elsewhere = self._searchers.find(namespace, asked, cache, began)
                if elsewhere is not None:
                    return elsewhere
            return find(self.engine_of(namespace), asked, cache, began)

        return self.questions.ask(asked.question, found)

    def _read(
        self,
        namespace: str | None,
        documents: Sequence[Document],
        on_error: OnError,
        on_progress: Callable[[int, int], None],
    ) -> AddReport:
        def count(tokens: int, characters: int) -> None:
            self.metrics.read(tokens)
            on_progress(tokens, characters)
            self.questions.give_way(self.settings.give_way_seconds)

        engine = self.engine_of(namespace, create=True)
        return engine.add(documents, on_error=on_error, on_progress=count)

    def close(self) -> None:
        """Answer what waits, and stop reading documents; the next process goes on."""
        self.jobs.close()
        self.questions.close()
        self.works.close()
        if self._searchers is not None:
            self._searchers.close()
