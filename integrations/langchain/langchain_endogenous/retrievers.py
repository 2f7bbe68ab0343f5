"""The resident language model as a LangChain retriever."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.indexing import DeleteResponse, UpsertResponse
from langchain_core.indexing.base import DocumentIndex
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from langchain_endogenous.adding import as_documents, get_documents, put_documents
from langchain_endogenous.chat_models import ChatEndogenous
from langchain_endogenous.documents import from_span, to_document
from langchain_endogenous.managing import removed
from langchain_endogenous.questions import question_of
from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    AddedIds,
    AnyEngine,
    Call,
    Source,
    Work,
    made,
    open_engine,
    opened,
    restored,
    source_of,
)
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Scoring
from s3_retriever.types import Span

__all__ = ["EndogenousRetriever"]

logger = logging.getLogger(__name__)

_PER_CALL = ("max_tokens", "k", "filter", "mode", "scoring")


class EndogenousRetriever(DocumentIndex):
    """Retrieves with the attention of a language model that is in memory, here or on a server.

    In place of ``engine`` it takes the ``url`` of a server (``s3-retriever serve``), with
    ``token``, ``namespace`` and ``timeout`` as of :class:`s3_retriever.client.Client`. Awaited
    methods then take no threads.

    What comes back are exact spans of the added texts, ``text[span_start:span_end] ==
    page_content``, as plain documents. See :func:`~langchain_endogenous.documents.from_span` for
    their metadata.

    Every field below can be given per call, too: ``retriever.invoke(question, k=3)``. What a chain
    hands on may be a mapping with the question under ``question``, ``query`` or ``input``. It is a
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

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # a token may be among it

    engine: AnyEngine = Field(exclude=True, repr=False)
    """The model and the index, or a client of a server's; shared, and left out when the retriever
    is serialised."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Budget of a result in the model's own tokens, of the texts with an empty line between, as
    chains that stuff documents join them; ``None`` is no limit."""
    k: int | None = Field(default=None, ge=1)
    """Most documents of a result; ``None`` is no limit."""
    filter: Filter | None = None
    """Condition on the added documents' metadata, e.g. ``{"year": {"$gte": 1990}}``."""
    mode: str | None = None
    """A mode of :meth:`s3_retriever.Engine.retrieve`; by default what the profile recommends."""
    scoring: Scoring | None = None
    """``attention`` or ``coactivation``; by default the profile's better one."""

    @model_validator(mode="before")
    @classmethod
    def _connected(cls, data: Any) -> Any:
        return opened(data, "engine", lambda client: client)

    @model_validator(mode="after")
    def _known_mode(self) -> Self:
        self._source.check_mode(self.mode)
        return self

    @property
    def _source(self) -> Source:
        return source_of(self.engine)

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
            path: the index's folder or ``postgresql://`` URL; ``None`` keeps it in memory.
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
        documents: Document | Iterable[Document],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``.

        Args:
            documents: whole texts; they need no splitting.
            path: as in :meth:`from_profile`.
            profile: as in :meth:`from_profile`.
            **options: as in :meth:`from_profile`; or a server's ``url`` and what belongs to it.

        Raises:
            InputError: all documents are unusable.
        """
        retriever: Self = made(cls, profile, path, options)
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: str | Iterable[str],
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
        self,
        documents: Document | Iterable[Document],
        *,
        show_progress: bool = False,
        on_error: Literal["skip", "raise"] = "skip",
    ) -> AddedIds:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. One without an id gets one, see
                :func:`~langchain_endogenous.documents.document_id`.
            show_progress: draw a bar.
            on_error: ``raise`` refuses the whole batch for one that cannot be used.

        Returns:
            Ids of the documents that are in the index now, in the order given; its ``skipped`` is
            the reason by id for each of the others, ``given`` has an entry for each document given.

        Raises:
            InputError: all documents are unusable, and not all are blank.
            IndexStorageError: the index's folder cannot be written.
        """
        work = put_documents(documents, show_progress=show_progress, on_error=on_error)
        return self._source.run(work)

    async def aadd_documents(
        self,
        documents: Document | Iterable[Document],
        *,
        show_progress: bool = False,
        on_error: Literal["skip", "raise"] = "skip",
    ) -> AddedIds:
        """As :meth:`add_documents`; the event loop stays free."""
        work = put_documents(documents, show_progress=show_progress, on_error=on_error)
        return await self._source.arun(work)

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """:meth:`add_documents` as LangChain's indexing API calls it; also tells what was left out.

        Args:
            items: documents, with or without ids.
            **kwargs: ``show_progress``; ``batch_size`` means nothing here.
        """
        return self._source.run(_upserted(items, **kwargs))

    async def aupsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """As :meth:`upsert`; the event loop stays free."""
        return await self._source.arun(_upserted(items, **kwargs))

    def delete(
        self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any
    ) -> DeleteResponse:
        """Remove documents by id, or those that pass a filter; one that is not there is no failure.

        The id of a document that :meth:`invoke` gave back names the one it was cut from.

        Raises:
            ValueError: neither or both are given, or the filter is empty or wrong.
        """
        return self._source.run(_deleted(ids, filter))

    async def adelete(
        self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any
    ) -> DeleteResponse:
        """As :meth:`delete`; the event loop stays free."""
        return await self._source.arun(_deleted(ids, filter))

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Documents as they were added; ids that are not there are left out."""
        return self._source.run(get_documents(ids))

    async def aget(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """As :meth:`get`; the event loop stays free."""
        return await self._source.arun(get_documents(ids))

    def to_config(self) -> dict[str, Any]:
        """The retriever as JSON values: its engine's settings and its own fields, no weights."""
        fields = self.model_dump(mode="json", include=set(_PER_CALL) | {"tags", "metadata"})
        return {"engine": self.engine.to_config(), **fields}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: AnyEngine | None = None) -> Self:
        """Make the retriever that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.

        Raises:
            EndogenousError: as :meth:`from_profile`.
        """
        return restored(cls, config, engine)

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Documents for a question.

        Args:
            input: a question, or a mapping with one under ``question``, ``query`` or ``input``.
            config: LangChain's.
            **kwargs: fields of this class, for this call.

        Raises:
            InputError: it is or holds no question, or one that cannot be used.
        """
        return super().invoke(question_of(input), config, **kwargs)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """As :meth:`invoke`; the event loop stays free."""
        return await super().ainvoke(question_of(input), config, **kwargs)

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Documents for each question; the model projects all questions in one padded pass.

        Args:
            inputs: questions, as of :meth:`invoke`.
            config: one for all, or one each.
            return_exceptions: put a question's error in its place instead of raising it.
            **kwargs: as of :meth:`invoke`.
        """
        asked = _asked(inputs)
        if asked:
            kwargs |= self._source.run(_batched(asked))
        return super().batch(asked, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """As :meth:`batch`; the event loop stays free."""
        asked = _asked(inputs)
        if asked:
            kwargs |= await self._source.arun(_batched(asked))
        return await super().abatch(asked, config, return_exceptions=return_exceptions, **kwargs)

    @cached_property
    def llm(self) -> ChatEndogenous:
        """A chat model over the weights that retrieve; nothing is loaded twice."""
        return ChatEndogenous(llm=self.engine.llm)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """What LangSmith files a run under."""
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "s3-retriever"
        params["ls_embedding_model"] = self._source.name
        return params

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return self._source.run(self._found(query, **overrides))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return await self._source.arun(self._found(query, **overrides))

    def _found(self, query: str, **overrides: Any) -> Work[list[Document]]:
        if unknown := overrides.keys() - {*_PER_CALL, "query_cache"}:
            raise TypeError(
                f"unknown argument {', '.join(sorted(unknown))}; "
                f"a call takes {', '.join(_PER_CALL)}"
            )
        settings = {name: getattr(self, name) for name in _PER_CALL} | overrides
        spans: list[Span] = yield Call("retrieve", (query,), settings)
        return [from_span(span) for span in spans]


def _upserted(items: Sequence[Document], **kwargs: Any) -> Work[UpsertResponse]:
    kwargs.pop("batch_size", None)
    given = listed(items, "documents", Document)
    converted = [to_document(document) for document in given]
    ids = [document.id for document in converted]
    try:
        added = yield from put_documents(given, **kwargs)
    except InputError as e:  # all of them are unusable: an answer here, not an error
        logger.warning("nothing is added: %s", e)
        return UpsertResponse(succeeded=[], failed=ids)
    return UpsertResponse(succeeded=list(added), failed=[i for i in ids if i not in added])


def _deleted(ids: list[str] | None, filter: Filter | None) -> Work[DeleteResponse]:
    there = yield from removed(ids, filter)
    return DeleteResponse(succeeded=there, num_deleted=len(there), failed=[], num_failed=0)


def _batched(questions: list[Any]) -> Work[dict[str, Any]]:
    more: dict[str, Any] = yield Call("batched", (questions,))
    return more


def _asked(inputs: Any) -> list[Any]:
    """The questions of a batch; what is none stays as it is, for :meth:`invoke` to refuse."""
    return [question_of(given) for given in listed(inputs, "questions", Mapping)]
