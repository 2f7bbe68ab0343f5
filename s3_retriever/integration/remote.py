"""A server's engine, as a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from s3_retriever.client import Client, FoundSpans
from s3_retriever.client.transport import Steps
from s3_retriever.errors import InputError
from s3_retriever.integration.source import Call, Likeness, Work
from s3_retriever.search.filters import Filter
from s3_retriever.settings import RetrieveSettings
from s3_retriever.steps import adrive, drive
from s3_retriever.types import AddReport, Document, Span, SpanRef

__all__ = ["RemoteSource"]

R = TypeVar("R")

_AROUND = 64
"""Tokens for what a profile puts around a question."""
_MOST_BYTES = 4
"""Tokens that a character takes at most."""


class RemoteSource:
    """Asks a server; who awaits takes no thread."""

    def __init__(self, client: Client) -> None:
        """Take a client; shared."""
        self._client = client
        self._api = client.api

    @property
    def name(self) -> str:
        """The server's address: asking for its model's name would take a request."""
        return self._client.url

    def run(self, work: Work[R]) -> R:
        """Do some work, and wait."""
        return drive(work, lambda call: self._client.transport.run(self._steps(call)))

    async def arun(self, work: Work[R]) -> R:
        """As :meth:`run`; the event loop goes on."""
        return await adrive(work, lambda call: self._client.transport.arun(self._steps(call)))

    def check_mode(self, mode: str | None) -> None:
        """Nothing: the server knows its modes, and refuses others with the first question."""

    def _steps(self, call: Call) -> Steps[Any]:
        steps: Steps[Any] = getattr(self, call.method)(*call.args, **call.kwargs)
        return steps

    def retrieve(
        self, question: str, *, settings: RetrieveSettings | None = None, **arguments: Any
    ) -> Steps[FoundSpans]:
        """As the client's."""
        if settings is not None:
            raise InputError("settings of single stages are the server's: they cannot be sent")
        return (yield from self._api.retrieve(question, **arguments))

    def select(
        self, question: str, documents: Sequence[Document], **arguments: Any
    ) -> Steps[FoundSpans]:
        """As the client's."""
        return (yield from self._api.select(question, documents, **arguments))

    def batched(self, questions: Sequence[str]) -> Steps[dict[str, Any]]:
        """Nothing: the server reads those together that it is asked together."""
        yield from ()
        return {}

    def like(self, text: str, **arguments: Any) -> Steps[Likeness]:
        """What is like a text; of one that is too long to ask with, the beginning is asked.

        A server looks no documents up by their whole text: those of this text are looked for among
        what was found.
        """
        try:
            found = yield from self.retrieve(text, max_tokens=None, **arguments)
        except InputError:
            start = yield from self._beginning(text)
            if start == text:
                raise
            found = yield from self.retrieve(start, max_tokens=None, **arguments)
        same = yield from self._api.get_many(_could_be(text, found))
        return Likeness(found, found.highest_score, [d for d in same if d.text == text])

    def add(self, documents: Sequence[Document], **arguments: Any) -> Steps[AddReport]:
        """As the client's."""
        return (yield from self._api.add(documents, **arguments))

    def delete(self, ids: Iterable[str]) -> Steps[int]:
        """As the client's."""
        return (yield from self._api.delete(ids))

    def delete_where(self, filter: Filter) -> Steps[int]:
        """As the client's."""
        return (yield from self._api.delete_where(filter))

    def count(self, filter: Filter | None) -> Steps[int]:
        """Number of documents that pass."""
        return (yield from self._api.count(filter))

    def existing(self, ids: Iterable[str]) -> Steps[set[str]]:
        """Those ids that are there."""
        found = yield from self._api.get_many(ids)
        return {document.id for document in found}

    def get_many(self, ids: Iterable[str]) -> Steps[list[Document]]:
        """As the client's."""
        return (yield from self._api.get_many(ids))

    def ids(self, filter: Filter | None, limit: int | None) -> Steps[list[str]]:
        """As the client's."""
        return (yield from self._api.ids(filter, limit))

    def metadata(self) -> Steps[Sequence[tuple[str, Mapping[str, Any]]]]:
        """Every document's id and metadata."""
        return (yield from self._api.metadata())

    def count_tokens(self, texts: Sequence[str]) -> Steps[list[int]]:
        """As the client's."""
        return (yield from self._api.count_tokens(texts))

    def similarities(self, refs: Sequence[SpanRef]) -> Steps[np.ndarray]:
        """As the client's."""
        return (yield from self._api.similarities(refs))

    def _beginning(self, text: str) -> Steps[str]:
        """So much of a text as fits in any case: there is no tokenizer here."""
        info = yield from self._api.info()
        return text[: max(1, (info.window // 2 - _AROUND) // _MOST_BYTES)]


def _could_be(text: str, spans: Sequence[Span]) -> list[str]:
    """Documents whose spans all stand where they would stand in ``text``.

    Example:
        >>> spans = [Span("a", 3, 6, "red", 1.0, {}, 0), Span("b", 0, 3, "red", 0.9, {}, 1)]
        >>> _could_be("A: red", spans)
        ['a']
    """
    fits: dict[str, bool] = {}
    for span in spans:
        here = text[span.start : span.end] == span.text
        fits[span.doc_id] = here and fits.get(span.doc_id, True)
    return [doc_id for doc_id, here in fits.items() if here]
