"""The index under the interface of a vector store, for code that was written for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from pydantic import SecretStr
from typing_extensions import Self

from langchain_endogenous.adding import as_documents, put_given
from langchain_endogenous.best import best_documents, best_spans
from langchain_endogenous.documents import range_of
from langchain_endogenous.managing import ManagedStore
from langchain_endogenous.mmr import diverse
from langchain_endogenous.places import collection_of, ignored, place_of
from s3_retriever.arguments import COUNT, SHARE, checked
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    AddedIds,
    AnyEngine,
    Call,
    Likeness,
    Source,
    Work,
    connected,
    made,
    open_engine,
    restored,
    source_of,
)
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, RetrieveSettings, Scoring

__all__ = ["EndogenousVectorStore"]


class EndogenousVectorStore(ManagedStore):
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
        engine: AnyEngine | None = None,
        *,
        url: str | None = None,
        token: str | SecretStr | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        spans: bool = False,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        collection_name: str | None = None,
        persist_directory: str | Path | None = None,
        embedding_function: Embeddings | None = None,
    ) -> None:
        """Put an engine that is loaded already, here or on a server, under this interface.

        Args:
            engine: the model and the index, or a client of a server's; shared.
            url: of a server (``s3-retriever serve``), in place of an engine. Awaited methods then
                take no threads.
            token: as of :class:`s3_retriever.client.Client`.
            namespace: as there.
            timeout: as there.
            spans: give back sentences instead of whole documents.
            mode: as in :meth:`s3_retriever.Engine.retrieve`.
            scoring: as in :meth:`s3_retriever.Engine.retrieve`.
            collection_name: a namespace of the engine, or of the server: an index of its own.
            persist_directory: in place of an engine: the folder of an index, which is opened or
                created with the default profile (:meth:`from_profile` takes others).
            embedding_function: not used, with a warning; there for code that passes one.
        """
        ignored(embedding_function)
        if persist_directory is not None and engine is None and url is None:
            engine, _ = open_engine(DEFAULT_PROFILE, persist_directory, {})
        elif persist_directory is not None:
            raise InputError("persist_directory stands in place of an engine or a url")
        if url is not None and collection_name is not None:
            if namespace is not None:
                raise InputError("collection_name is another name of namespace: give one of them")
            namespace, collection_name = collection_name, None
        connection: AnyEngine = connected(engine, url, token, namespace, timeout)
        self.engine: AnyEngine = collection_of(connection, collection_name)
        self.spans = spans
        self.mode: Mode | None = mode
        self.scoring: Scoring | None = scoring

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.engine!r}, spans={self.spans})"

    @property
    def _source(self) -> Source:
        return source_of(self.engine)

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        spans: bool = False,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        persist_directory: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder or ``postgresql://`` URL; ``None`` keeps it in memory.
            spans: as of the constructor.
            mode: as of the constructor.
            scoring: as of the constructor.
            persist_directory: another name of ``path``.
            **options: of :meth:`s3_retriever.Engine.from_profile`: ``model``, ``device``, ...; and
                ``collection_name``.

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine, others = open_engine(profile, place_of(path, persist_directory), options)
        return cls(engine, spans=spans, mode=mode, scoring=scoring, **others)

    @classmethod
    def from_documents(
        cls,
        documents: Document | Iterable[Document],
        embedding: Embeddings | None = None,
        *,
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        persist_directory: str | Path | None = None,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``.

        Args:
            documents: whole texts; they need no splitting.
            embedding: not used, with a warning; there for code that passes one.
            path: the index's folder or ``postgresql://`` URL; ``None`` keeps it in memory.
            profile: a shipped name or a profile's folder.
            persist_directory: another name of ``path``.
            ids: one for each document, in place of its own.
            **options: of :meth:`from_profile`; or a server's ``url`` and what belongs to it.
        """
        ignored(embedding)
        store: Self = made(cls, profile, place_of(path, persist_directory), options)
        store.add_documents(documents, **({} if ids is None else {"ids": ids}))
        return store

    @classmethod
    def from_texts(
        cls,
        texts: str | Iterable[str],
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

    def add_texts(
        self,
        texts: str | Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> AddedIds:
        """Read texts and put them into the index; arguments and result as :meth:`add_documents`.

        Raises:
            InputError: all texts are unusable, and not all are blank.
            InputError: ``metadatas`` or ``ids`` are not as many as the texts.
        """
        return self.add_documents(as_documents(texts, metadatas, ids), **kwargs)

    def add_documents(self, documents: Document | Iterable[Document], **kwargs: Any) -> AddedIds:
        """Read documents and put them into the index; one whose id is there is replaced.

        Args:
            documents: one without an id gets one, see
                :func:`~langchain_endogenous.documents.document_id`.
            **kwargs: ``ids``, in place of the documents' own; ``show_progress``; ``on_error``
                (``raise`` refuses the whole batch); ``batch_size`` means nothing here.

        Returns:
            Ids of the documents that are in the index now, in the order given; its ``skipped`` is
            the reason by id for each of the others (a blank page, say).

        Raises:
            InputError: all documents are unusable, and not all are blank.
            InputError: ``ids`` are not as many as the documents.
        """
        return self._source.run(put_given(documents, **kwargs))

    async def aadd_texts(
        self,
        texts: str | Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> AddedIds:
        """As :meth:`add_texts`; the event loop stays free."""
        return await self.aadd_documents(as_documents(texts, metadatas, ids), **kwargs)

    async def aadd_documents(
        self, documents: Document | Iterable[Document], **kwargs: Any
    ) -> AddedIds:
        """As :meth:`add_documents`; the event loop stays free."""
        return await self._source.arun(put_given(documents, **kwargs))

    def similarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents (or spans) most like ``query``, best first.

        A document whose text is the query comes before all others, whole with ``spans=True``, too.

        Args:
            query: a question, or any text. Of one that is longer than the model can ask with, the
                beginning is asked.
            k: how many.
            filter: condition on metadata, e.g. ``{"year": {"$gte": 1990}}``.
            **kwargs: ``mode``, ``scoring``, ``settings``, for this call only.

        Raises:
            InputError: an empty query, ``k`` below 1, an unknown operator in ``filter``.
        """
        found = self._source.run(self._search(query, k, filter, **kwargs))
        return [document for document, _ in found]

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """As :meth:`similarity_search`; the event loop stays free."""
        found = await self._source.arun(self._search(query, k, filter, **kwargs))
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As :meth:`similarity_search`, with relevance scores from 0 to 1; higher is better.

        A score is the share of the highest sum that the legs of the search can give: 1 is text
        that each of them finds best. It compares results of one query.
        """
        return self._source.run(self._search(query, k, filter, **kwargs))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As :meth:`similarity_search_with_score`; the event loop stays free."""
        return await self._source.arun(self._search(query, k, filter, **kwargs))

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
        work = self._diverse(query, k, fetch_k, lambda_mult, filter=filter, **kwargs)
        return self._source.run(work)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """As :meth:`max_marginal_relevance_search`; the event loop stays free."""
        work = self._diverse(query, k, fetch_k, lambda_mult, filter=filter, **kwargs)
        return await self._source.arun(work)

    def to_config(self) -> dict[str, Any]:
        """The store as JSON values: its engine's settings and its own, no weights."""
        own = {"spans": self.spans, "mode": self.mode, "scoring": self.scoring}
        return {"engine": self.engine.to_config(), **own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: AnyEngine | None = None) -> Self:
        """Make the store that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: score

    @checked(k=COUNT)
    def _search(
        self,
        query: str,
        k: int,
        filter: Filter | None,
        *,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
    ) -> Work[list[tuple[Document, float]]]:
        """The ``k`` best with their scores."""
        asked = {
            "k": k if self.spans else None,
            "filter": filter,
            "mode": self.mode if mode is None else mode,
            "scoring": self.scoring if scoring is None else scoring,
            "settings": settings,
        }
        found: Likeness = yield Call("like", (query,), asked)
        if self.spans:
            return list(best_spans(query, k, found))
        return (yield from best_documents(k, filter, found))

    @checked(k=COUNT, fetch_k=COUNT, lambda_mult=SHARE)
    def _diverse(
        self, query: str, k: int, fetch_k: int, lambda_mult: float, **asked: Any
    ) -> Work[list[Document]]:
        found = yield from self._search(query, fetch_k, **asked)
        ranges = [range_of(document) for document, _ in found]
        alike: np.ndarray = yield Call("similarities", (ranges,))
        scores = np.array([score for _, score in found])
        return [found[n][0] for n in diverse(scores, alike, k, lambda_mult)]
