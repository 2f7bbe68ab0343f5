"""The resident language model as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.indexing import DeleteResponse, UpsertResponse
from langchain_core.indexing.base import DocumentIndex
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig, run_in_executor
from pydantic import ConfigDict, Field
from typing_extensions import Self

from langchain_endogenous.adding import as_documents, get_documents, put_documents
from langchain_endogenous.chat_models import ChatEndogenous
from langchain_endogenous.documents import from_span, to_document
from s3_retriever.engine import Engine
from s3_retriever.integration import open_engine, restored
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.retrieval.presets import ModeName
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Scoring
from s3_retriever.validation import problem_of

__all__ = ["EndogenousRetriever"]

_PER_CALL = ("max_tokens", "k", "filter", "mode", "scoring")


class EndogenousRetriever(DocumentIndex):
    """Retrieves with the attention of a language model that is in memory anyway.

    What comes back are exact spans of the added texts: ``text[start_index:end_index] ==
    page_content``. See :func:`~langchain_endogenous.documents.from_span` for their metadata.

    Every field below can be given per call, too: ``retriever.invoke(question, k=3)``. It is a
    ``DocumentIndex``: LangChain's ``index()`` with a record manager keeps it up to date.

    Example:
        >>> from langchain_core.output_parsers import StrOutputParser
        >>> from langchain_core.prompts import ChatPromptTemplate
        >>> from langchain_core.runnables import RunnablePassthrough
        >>> retriever = EndogenousRetriever.from_texts(
        ...     ["The Eiffel Tower was finished in 1889. It is 330 metres tall."], max_tokens=64
        ... )
        >>> def join(documents):
        ...     return " ".join(d.page_content for d in documents)
        >>> prompt = ChatPromptTemplate.from_template("{context} Answer briefly: {question}")
        >>> chain = (
        ...     {"context": retriever | join, "question": RunnablePassthrough()}
        ...     | prompt
        ...     | retriever.llm
        ...     | StrOutputParser()
        ... )
        >>> "1889" in chain.invoke("When was the Eiffel Tower finished?")
        True
    """

    model_config = ConfigDict(extra="forbid")

    engine: Engine = Field(exclude=True, repr=False)
    """The model and the index; shared, and left out when the retriever is serialised."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Budget of a result in the model's own tokens; ``None`` is no limit."""
    k: int | None = Field(default=None, ge=1)
    """Most documents of a result; ``None`` is no limit."""
    filter: Filter | None = None
    """Condition on the added documents' metadata, e.g. ``{"year": {"$gte": 1990}}``."""
    mode: ModeName | None = None
    """A mode of :meth:`s3_retriever.Engine.retrieve`; by default what the profile recommends."""
    scoring: Scoring | None = None
    """``attention`` or ``coactivation``; by default the profile's better one."""

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder; ``None`` keeps the index in memory.
            **options: of :meth:`s3_retriever.Engine.from_profile` (``model``, ``device`` and so
                on) and of the retriever (``max_tokens``, ``k`` and so on).

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine, own = open_engine(profile, path, options)
        return cls(engine=engine, **own)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``.

        Args:
            documents: whole texts; they need no splitting.
            path: as in :meth:`from_profile`.
            profile: as in :meth:`from_profile`.
            **options: as in :meth:`from_profile`.

        Raises:
            InputError: all documents are unusable.
        """
        retriever = cls.from_profile(profile, path, **options)
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        *,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model and add ``texts``.

        Args:
            texts: one a document.
            metadatas: one for each text.
            path: as in :meth:`from_profile`.
            profile: as in :meth:`from_profile`.
            ids: one for each text; by default made from text and metadata.
            **options: as in :meth:`from_profile`.

        Raises:
            ValueError: ``metadatas`` or ``ids`` are not as many as the texts.
        """
        return cls.from_documents(as_documents(texts, metadatas, ids), path, profile, **options)

    def add_documents(
        self, documents: Iterable[Document], *, show_progress: bool = False
    ) -> list[str]:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. One without an id gets one, see
                :func:`~langchain_endogenous.documents.document_id`.
            show_progress: draw a bar.

        Returns:
            Ids of the documents that are in the index now, in the order given.

        Raises:
            InputError: all documents are unusable.
            IndexStorageError: the index's folder cannot be written.
        """
        return list(put_documents(self.engine, documents, show_progress=show_progress)["succeeded"])

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """:meth:`add_documents` as LangChain's indexing API calls it; also tells what was left out.

        Args:
            items: documents, with or without ids.
            **kwargs: ``show_progress``; ``batch_size`` means nothing here.
        """
        kwargs.pop("batch_size", None)
        converted = [to_document(item) for item in items]
        if all(problem_of(document) for document in converted):
            return UpsertResponse(succeeded=[], failed=[document.id for document in converted])
        return put_documents(self.engine, items, **kwargs)

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Remove documents by id; one that is not there is no failure.

        Raises:
            ValueError: no ids are given.
        """
        if ids is None:
            raise ValueError("delete needs the ids of documents")
        there = [i for i in dict.fromkeys(ids) if i in self.engine]
        if there:
            self.engine.delete(there)
        return DeleteResponse(succeeded=there, num_deleted=len(there), failed=[], num_failed=0)

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Documents as they were added; ids that are not there are left out."""
        return get_documents(self.engine, ids)

    def to_config(self) -> dict[str, Any]:
        """The retriever as JSON values: its engine's settings and its own fields, no weights."""
        fields = self.model_dump(mode="json", include=set(_PER_CALL) | {"tags", "metadata"})
        return {"engine": self.engine.to_config(), **fields}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: Engine | None = None) -> Self:
        """Make the retriever that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.

        Raises:
            EndogenousError: as :meth:`from_profile`.
        """
        return restored(cls, config, engine)

    def batch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Documents for each question; the model projects all questions in one padded pass.

        Args:
            inputs: questions.
            config: one for all, or one each.
            return_exceptions: put a question's error in its place instead of raising it.
            **kwargs: as of :meth:`invoke`.
        """
        if inputs:
            kwargs["query_cache"] = self.engine.cache_queries(inputs)
        return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """As :meth:`batch`; the event loop stays free."""
        if inputs:
            kwargs["query_cache"] = await run_in_executor(None, self.engine.cache_queries, inputs)
        return await super().abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    @cached_property
    def llm(self) -> ChatEndogenous:
        """A chat model over the weights that retrieve; nothing is loaded twice."""
        return ChatEndogenous(llm=self.engine.llm)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """What LangSmith files a run under."""
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "s3-retriever"
        params["ls_embedding_model"] = self.engine.llm.name
        return params

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return self._retrieve(query, **overrides)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return await run_in_executor(None, partial(self._retrieve, query, **overrides))

    def _retrieve(self, query: str, **overrides: Any) -> list[Document]:
        if unknown := overrides.keys() - {*_PER_CALL, "query_cache"}:
            raise TypeError(
                f"unknown argument {', '.join(sorted(unknown))}; "
                f"a call takes {', '.join(_PER_CALL)}"
            )
        settings = {name: getattr(self, name) for name in _PER_CALL} | overrides
        return [from_span(span) for span in self.engine.retrieve(query, **settings)]
