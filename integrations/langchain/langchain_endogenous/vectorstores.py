"""The index under the interface of a vector store, for code that was written for one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from typing_extensions import Self

from langchain_endogenous.adding import as_documents, get_documents, put_documents
from langchain_endogenous.documents import from_document, from_span
from langchain_endogenous.mmr import diverse
from s3_retriever.engine import Engine
from s3_retriever.integration import restored
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, RetrieveSettings, Scoring
from s3_retriever.types import Span, SpanRef

__all__ = ["EndogenousVectorStore"]


class EndogenousVectorStore(VectorStore):
    """A vector store without vectors: the model's own attention finds what is like a query.

    It gives back whole documents as they were added, as a vector store does; with ``spans=True``
    the sentences that answer, as :class:`~langchain_endogenous.EndogenousRetriever` does. There
    are always ``k`` documents if the store has so many: those in which nothing was found come last
    and have score 0. A document whose text *is* the query comes first.

    Example:
        >>> from langchain_core.documents import Document
        >>> documents = [Document("Cats sleep most of the day."), Document("Dogs bark.")]
        >>> store = EndogenousVectorStore.from_documents(documents)
        >>> store.similarity_search("How long do cats sleep?", k=1)[0].page_content
        'Cats sleep most of the day.'
    """

    def __init__(
        self,
        engine: Engine,
        *,
        spans: bool = False,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        """Put an engine that is loaded already under this interface.

        Args:
            engine: the model and the index; shared.
            spans: give back sentences instead of whole documents.
            mode: as in :meth:`s3_retriever.Engine.retrieve`.
            scoring: as in :meth:`s3_retriever.Engine.retrieve`.
        """
        self.engine = engine
        self.spans = spans
        self.mode: Mode | None = mode
        self.scoring: Scoring | None = scoring

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        spans: bool = False,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        **options: Any,
    ) -> Self:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder; ``None`` keeps the index in memory.
            spans: as of the constructor.
            mode: as of the constructor.
            scoring: as of the constructor.
            **options: of :meth:`s3_retriever.Engine.from_profile`: ``model``, ``device``, ...

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine = Engine.from_profile(profile, path, **options)
        return cls(engine, spans=spans, mode=mode, scoring=scoring)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings | None = None,
        *,
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``.

        Args:
            documents: whole texts; they need no splitting.
            embedding: not used, with a warning; there for code that passes one.
            path: the index's folder; ``None`` keeps the index in memory.
            profile: a shipped name or a profile's folder.
            ids: one for each document, in place of its own.
            **options: of :meth:`from_profile`.
        """
        _ignore(embedding)
        store = cls.from_profile(profile, path, **options)
        store.add_documents(list(documents), **({} if ids is None else {"ids": ids}))
        return store

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model and add ``texts``; the arguments are those of :meth:`from_documents`."""
        documents = as_documents(texts, metadatas, ids)
        return cls.from_documents(documents, embedding, **options)

    @classmethod
    async def afrom_texts(
        cls, texts: Iterable[str], embedding: Embeddings | None = None, *args: Any, **options: Any
    ) -> Self:
        """As :meth:`from_texts`; the event loop stays free."""
        make = partial(cls.from_texts, texts, embedding, *args, **options)
        return await run_in_executor(None, make)

    @classmethod
    async def afrom_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings | None = None,
        **options: Any,
    ) -> Self:
        """As :meth:`from_documents`; the event loop stays free."""
        make = partial(cls.from_documents, documents, embedding, **options)
        return await run_in_executor(None, make)

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Read documents and put them into the index; one whose id is there is replaced.

        Args:
            documents: one without an id gets one, see
                :func:`~langchain_endogenous.documents.document_id`.
            **kwargs: ``ids``, in place of the documents' own; ``show_progress``; ``batch_size``
                means nothing here.

        Returns:
            Ids of the documents that are in the index now, in the order given.

        Raises:
            InputError: all documents are unusable.
            ValueError: ``ids`` are not as many as the documents.
        """
        kwargs.pop("batch_size", None)
        if (ids := kwargs.pop("ids", None)) is not None:
            documents = as_documents(
                [d.page_content for d in documents], [d.metadata for d in documents], ids
            )
        return list(put_documents(self.engine, documents, **kwargs)["succeeded"])

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents by id; those that are not there are no failure.

        Raises:
            ValueError: no ids are given.
        """
        if ids is None:
            raise ValueError("delete needs the ids of documents")
        self.engine.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents as they were added; ids that are not there are left out."""
        return get_documents(self.engine, ids)

    def similarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents (or spans) most like ``query``, best first.

        Args:
            query: a question, or any text.
            k: how many.
            filter: condition on metadata, e.g. ``{"year": {"$gte": 1990}}``.
            **kwargs: ``mode``, ``scoring``, ``settings``, for this call only.

        Raises:
            InputError: an empty query, ``k`` below 1, an unknown operator in ``filter``.
        """
        return [document for document, _ in self._search(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As :meth:`similarity_search`, with relevance scores from 0 to 1; higher is better.

        A score is the share of the highest sum that the legs of the search can give: 1 is text
        that each of them finds best. It compares results of one query.
        """
        return [(document, score) for document, score in self._search(query, k, filter, **kwargs)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Documents (or spans) that are relevant and unlike each other.

        How alike two are is the cosine of the model's features in them
        (:meth:`s3_retriever.Engine.similarities`).

        Args:
            query: a question, or any text.
            k: how many.
            fetch_k: how many of the most relevant are looked at.
            lambda_mult: 1 is relevance alone, 0 is diversity alone.
            filter: condition on metadata.
            **kwargs: as of :meth:`similarity_search`.
        """
        found = list(self._search(query, fetch_k, filter, **kwargs))
        ranges = [self._range(document) for document, _ in found]
        alike = self.engine.similarities(ranges)
        scores = np.array([score for _, score in found])
        return [found[n][0] for n in diverse(scores, alike, k, lambda_mult)]

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As :meth:`max_marginal_relevance_search`; the event loop stays free."""
        return await run_in_executor(
            None, self.max_marginal_relevance_search, query, k, fetch_k, lambda_mult, **kwargs
        )

    def to_config(self) -> dict[str, Any]:
        """The store as JSON values: its engine's settings and its own, no weights."""
        own = {"spans": self.spans, "mode": self.mode, "scoring": self.scoring}
        return {"engine": self.engine.to_config(), **own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: Engine | None = None) -> Self:
        """Make the store that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: score

    def _search(
        self,
        query: str,
        k: int,
        filter: Filter | None,
        *,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
    ) -> Iterator[tuple[Document, float]]:
        """The ``k`` best with their scores."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        found = self.engine.retrieve(
            query,
            max_tokens=None,
            k=k if self.spans else None,
            filter=filter,
            mode=mode or self.mode,
            scoring=scoring or self.scoring,
            settings=settings,
        )
        most = self.engine.highest_score(mode or self.mode, settings)
        if self.spans:
            return iter([(from_span(span), _share(span, most)) for span in found])
        return self._documents(query, k, filter, found, most)

    def _documents(
        self, query: str, k: int, filter: Filter | None, spans: Sequence[Span], most: float
    ) -> Iterator[tuple[Document, float]]:
        """Whole documents by their best span, then others of the filter until there are ``k``."""
        scores: dict[str, float] = {}
        for span in spans:
            scores.setdefault(span.doc_id, _share(span, most))
        if len(scores) < k:
            for doc_id in self.engine.ids(filter):
                scores.setdefault(doc_id, 0.0)
                if len(scores) == k:
                    break
        found = [(doc, score) for i, score in scores.items() if (doc := self.engine.get(i))]
        for document, _ in found:
            if document.text == query:
                scores[document.id] = 1.0
        found.sort(key=lambda pair: -scores[pair[0].id])
        for document, _ in found[:k]:
            yield from_document(document), scores[document.id]

    def _range(self, document: Document) -> SpanRef:
        """Where a document or a span of this store stands."""
        if self.spans:
            m = document.metadata
            return SpanRef(m["doc_id"], m["start_index"], m["end_index"])
        return SpanRef(document.id or "", 0, len(document.page_content))


def _share(span: Span, most: float) -> float:
    return min(1.0, span.score / most) if most > 0 else 0.0


def _ignore(embedding: Embeddings | None) -> None:
    if embedding is not None:
        warnings.warn(
            f"{type(embedding).__name__} is not used: the model that answers finds by itself",
            stacklevel=3,
        )
