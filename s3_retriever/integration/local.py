"""An engine in this process, as a source."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.integration.source import Call, Likeness, Work
from s3_retriever.models.base import Tokenizing
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.search.filters import Filter
from s3_retriever.settings import RetrieveSettings
from s3_retriever.steps import drive
from s3_retriever.types import AddReport, Document, Span, SpanRef

__all__ = ["LocalSource", "beginning"]

R = TypeVar("R")

_START = 512
"""Tokens that are asked of a text which is too long: by then it has said what it is about."""
_AROUND = 64
"""Tokens for what a profile puts around a question."""
_CHARACTERS = 16
"""More than any language puts into a token, on average."""


class LocalSource:
    """Calls an engine; who awaits has all of a work done in one thread."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine; shared."""
        self._engine = engine

    @property
    def name(self) -> str:
        """Of the model."""
        return self._engine.llm.name

    def run(self, work: Work[R]) -> R:
        """Do some work, and wait."""
        return drive(work, self._call)

    async def arun(self, work: Work[R]) -> R:
        """As :meth:`run`, in a thread."""
        return await asyncio.to_thread(self.run, work)

    def check_mode(self, mode: str | None) -> None:
        """Refuse a mode that is none.

        Raises:
            InputError: there is no such mode.
        """
        if mode is not None:
            preset_named(mode)

    def _call(self, call: Call) -> Any:
        return getattr(self, call.method)(*call.args, **call.kwargs)

    def retrieve(self, question: str, **arguments: Any) -> list[Span]:
        """As the engine's."""
        return self._engine.retrieve(question, **arguments)

    def select(
        self, question: str, documents: Sequence[Document], **arguments: Any
    ) -> Sequence[Span]:
        """As the engine's."""
        return self._engine.select(question, documents, **arguments)

    def batched(self, questions: Sequence[str]) -> dict[str, Any]:
        """Read questions together, for the :meth:`retrieve` of each."""
        return {"query_cache": self._engine.cache_queries(questions)}

    def like(
        self,
        text: str,
        *,
        mode: str | None,
        filter: Filter | None,
        settings: RetrieveSettings | None,
        **arguments: Any,
    ) -> Likeness:
        """What is like a text; of one that is too long to ask with, the beginning is asked."""
        engine = self._engine
        question = beginning(engine.llm, text)
        spans = engine.retrieve(
            question, max_tokens=None, mode=mode, filter=filter, settings=settings, **arguments
        )
        same = engine.get_many(engine.documents.ids_of_text(text, filter))
        return Likeness(spans, engine.highest_score(mode, settings), same)

    def add(self, documents: Sequence[Document], **arguments: Any) -> AddReport:
        """As the engine's."""
        return self._engine.add(documents, **arguments)

    def delete(self, ids: Iterable[str]) -> int:
        """As the engine's."""
        return self._engine.delete(ids)

    def delete_where(self, filter: Filter) -> int:
        """As the engine's."""
        return self._engine.delete_where(filter)

    def count(self, filter: Filter | None) -> int:
        """Number of documents that pass."""
        return len(self._engine if filter is None else self._engine.ids(filter))

    def existing(self, ids: Iterable[str]) -> set[str]:
        """Those ids that are there."""
        return {doc_id for doc_id in ids if doc_id in self._engine}

    def get_many(self, ids: Iterable[str]) -> list[Document]:
        """As the engine's."""
        return self._engine.get_many(ids)

    def ids(self, filter: Filter | None, limit: int | None) -> list[str]:
        """As the engine's."""
        return self._engine.ids(filter, limit)

    def metadata(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Every document's id and metadata, which are not to be changed."""
        return list(self._engine.documents.metadata())

    def similarities(self, refs: Sequence[SpanRef]) -> np.ndarray:
        """As the engine's."""
        return self._engine.similarities(refs)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """By the model's tokenizer."""
        return [self._engine.llm.count_tokens(text) for text in texts]


def beginning(llm: Tokenizing, text: str) -> str:
    """As much of a text as a model can ask with (twice in a row); mostly all of it.

    Args:
        llm: counts, and says how much it takes at once.
        text: a question, or any text.
    """
    most = max(1, llm.window // 2 - _AROUND)
    if not isinstance(text, str) or len(text) <= most // 4:  # no character takes more than 4 tokens
        return text
    start = text[: most * _CHARACTERS]
    tokens = llm.tokenize(start)
    return start if len(tokens) <= most else start[: int(tokens.ends[min(most, _START) - 1])]
