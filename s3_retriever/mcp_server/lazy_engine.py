"""An index that is there at once, and its model when it has been loaded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from s3_retriever.errors import EndogenousError
from s3_retriever.storage.base import DocumentStore

if TYPE_CHECKING:
    from s3_retriever.engine import Engine

__all__ = ["LazyEngine"]

logger = logging.getLogger(__name__)


class LazyEngine:
    """An engine that is loaded once, by whoever needs it first; its documents need no model."""

    def __init__(self, documents: DocumentStore, load: Callable[[], Engine]) -> None:
        """Nothing is loaded yet.

        Args:
            documents: of the index, opened without a model.
            load: makes the engine of the same index.
        """
        self._documents = documents
        self._load = load
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def documents(self) -> DocumentStore:
        """The documents, whether the model is there or not."""
        return self._engine.documents if self._engine else self._documents

    def engine(self) -> Engine:
        """The engine; waits while it is loaded. After a failure the next call tries again.

        Raises:
            EndogenousError: the model or the index cannot be opened.
        """
        with self._lock:
            if self._engine is None:
                self._engine = self._load()
            return self._engine

    def load_aside(self) -> None:
        """Begin to load in a thread; what goes wrong is logged, and told to who asks."""

        def load() -> None:
            try:
                self.engine()
            except EndogenousError as e:
                logger.warning("the model is not loaded: %s", e)

        threading.Thread(target=load, name="load the model", daemon=True).start()
