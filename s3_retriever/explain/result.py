"""The spans of one question, as a list that can show itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.explain.reading import Reading
from s3_retriever.html import page_html, result_html
from s3_retriever.paths import bound
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import Answer, Document, Span

__all__ = ["RetrievalResult", "Source"]

DenseScores = Callable[[str, Sequence[str]], "Sequence[float] | np.ndarray"]
"""Scores of sentences for a question, by some embedding model."""


class Source(Protocol):
    """Where a result came from: an :class:`~s3_retriever.Engine`."""

    def get(self, doc_id: str) -> Document | None:
        """A document as it was added."""

    def read_document(self, question: str, doc_id: str) -> Reading:
        """A document as the heads see it."""

    @property
    def retrieve_settings(self) -> RetrieveSettings:
        """Of every stage."""


class RetrievalResult(list[Span]):
    """Spans, best first: a list in every respect, which a notebook shows as a heatmap.

    Example:
        >>> from s3_retriever import Document, Engine
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> report = engine.add([Document("mill", "It is old. The mill was built in 1780.")])
        >>> found = engine.retrieve("When was the mill built?", k=1)
        >>> found.question, found[0].text
        ('When was the mill built?', 'The mill was built in 1780.')
    """

    def __init__(self, spans: Iterable[Span], question: str, engine: Source | None = None) -> None:
        """Hold the spans that were found for a question.

        Args:
            spans: best first.
            question: plain text.
            engine: that found them. It is not kept alive, copied or pickled with the result.
        """
        super().__init__(spans)
        self.question = question
        self._engine = weakref.ref(engine) if engine is not None else lambda: None

    def __reduce__(self) -> tuple[Any, ...]:
        return RetrievalResult, (list(self), self.question)

    def _source(self, engine: Source | None) -> Source:
        found = engine or self._engine()
        if found is None:
            raise InputError(
                "the engine that found this result is gone (a copy of a result has none): "
                "give it with engine=..."
            )
        return found

    def _repr_html_(self) -> str:
        return result_html(self.question, self)

    def to_html(
        self, path: str | Path, answer: Answer | None = None, *, engine: Source | None = None
    ) -> Path:
        """Write a page: the sources with all spans marked, those an answer rests on in green.

        Each mark's id in the page is the span's id, so ``page.html#docid:start-end`` opens there.

        Args:
            path: of the page.
            answer: of :meth:`~s3_retriever.Engine.answer` to the same question.
            engine: where the documents are; by default what found the result, if it is there yet.

        Raises:
            InputError: it is not.
        """
        target = bound(path)
        source = self._source(engine)
        spans = list(answer.spans) if answer else list(self)
        found = {span.doc_id: source.get(span.doc_id) for span in spans}
        page = page_html(
            self.question,
            answer.text if answer else None,
            {doc_id: document.text for doc_id, document in found.items() if document},
            spans,
            answer.citations if answer else (),
        )
        target.write_text(page, encoding="utf-8")
        return Path(path)

    def plot(
        self,
        doc_id: str | None = None,
        *,
        dense: DenseScores | None = None,
        dense_name: str = "dense retriever",
        engine: Source | None = None,
    ) -> Any:
        """Draw how the model's attention is spread over a document, with the peaks it chose.

        Args:
            doc_id: by default the best span's document.
            dense: scores the document's sentences for comparison, e.g. by cosine of embeddings.
            dense_name: what the legend calls it.
            engine: as of :meth:`to_html`.

        Returns:
            A matplotlib figure.

        Raises:
            InputError: nothing was found and no document is named, or matplotlib is missing.
        """
        from s3_retriever.explain.plot import plot_density

        if doc_id is None:
            if not self:
                raise InputError("nothing was found: name the document to plot")
            doc_id = self[0].doc_id
        spans = [span for span in self if span.doc_id == doc_id]
        source = self._source(engine)
        reading = source.read_document(self.question, doc_id)
        return plot_density(
            reading,
            source.retrieve_settings.density,
            self.question,
            doc_id,
            spans,
            dense,
            dense_name,
        )
