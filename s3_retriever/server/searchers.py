"""Processes that search for what this one has read: Python's threads take turns, these do not.

They are forked before the server's threads start and share the memory of the engine; only the
queries of a question and its response travel. The model is never run in them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import question_ids
from s3_retriever.server.finding import find
from s3_retriever.server.schemas.search import SearchRequest

__all__ = ["Searchers", "can_fork"]

logger = logging.getLogger(__name__)

_ALONE_SECONDS = 1.0
"""How often a process looks whether the server is still there."""


def can_fork() -> bool:
    """Whether this system has what :class:`Searchers` need."""
    return sys.platform == "linux"  # other systems have fork, but libraries that do not bear it


class Searchers:
    """Some processes, each with a copy of the engine that costs no memory until it changes."""

    def __init__(self, engine: Engine, n: int) -> None:
        """Fork them now.

        Args:
            engine: of an index in a folder, so that they see what is committed later.
            n: how many.
        """
        null = engine.cache_queries([] if engine.null_question is None else [engine.null_question])
        null = pickle.loads(pickle.dumps(null))  # noqa: S301 - its own, to have it on the CPU
        self._engine = engine
        self._broken = False
        self._pool = ProcessPoolExecutor(
            n, multiprocessing.get_context("fork"), initializer=_begin, initargs=(engine, null)
        )
        list(self._pool.map(_ready, range(n)))

    def takes(self, asked: SearchRequest) -> bool:
        """Whether a question can be searched for without running the model."""
        if self._broken or self._engine.abstention is not None:
            return False
        try:
            preset = preset_named(asked.mode or self._engine.default_mode)
        except InputError:  # whoever searches will say so
            return False
        return "query_likelihood" not in preset.weights(self._engine.retrieve_settings)

    def find(
        self, namespace: str | None, asked: SearchRequest, cache: QueryCache, began: float
    ) -> str | None:
        """As :func:`~s3_retriever.server.finding.find`; ``None`` if the processes are gone.

        Raises:
            InputError: as of ``Engine.retrieve``.
        """
        ids = question_ids(self._engine.llm, self._engine.profile.card, asked.question)
        own = cache.part(np.concatenate(ids))
        try:
            return self._pool.submit(_find, namespace, asked, own, began).result()
        except BrokenProcessPool:
            self._broken = True
            logger.error("the processes that search are gone; threads search from now on")
            return None

    def close(self) -> None:
        """End them."""
        self._pool.shutdown()


class _Child:
    """What one of the processes holds."""

    def __init__(self, engine: Engine, null: QueryCache) -> None:
        self._engine = engine
        self._null = null
        self._nothing = Engine(engine.llm, engine.profile)
        self._known: set[str] = set()

    def engine_of(self, namespace: str | None) -> Engine:
        """As of :class:`~s3_retriever.server.resident.Resident`; nothing is made."""
        if namespace is None:
            return self._engine
        if namespace not in self._known:
            if namespace not in self._engine.namespaces():
                return self._nothing
            self._engine.namespace(namespace).prepare(self._null)
            self._known.add(namespace)
        return self._engine.namespace(namespace)


_child: _Child | None = None


def _begin(engine: Engine, null: QueryCache) -> None:
    global _child
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    engine.prepare(null)
    _child = _Child(engine, null)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_ALONE_SECONDS)
    os._exit(0)  # the server was killed and cannot say so


def _ready(n: int) -> int:
    return n


def _find(namespace: str | None, asked: SearchRequest, cache: QueryCache, began: float) -> str:
    assert _child is not None
    return find(_child.engine_of(namespace), asked, cache, began)
