"""The resident language model as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field
from typing_extensions import Self

from langchain_endogenous.chat_models import ChatEndogenous
from langchain_endogenous.documents import from_span, to_document
from s3_retriever.config import Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.engine import DEFAULT_PROFILE, Engine
from s3_retriever.index.filters import Filter

__all__ = ["EndogenousRetriever"]

_PER_CALL = ("max_tokens", "k", "filter", "mode", "scoring")


class EndogenousRetriever(BaseRetriever):
    """Retrieves with the attention of a language model that is in memory anyway.

    What comes back are exact spans of the added texts: ``text[start_index:end_index] ==
    page_content``. See :func:`~langchain_endogenous.documents.from_span` for their metadata.

    Every field below can be given per call, too: ``retriever.invoke(question, k=3)``.

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
    mode: Mode = "hybrid"
    """``hybrid`` joins features and words; ``features`` and ``bm25`` are either alone."""
    scoring: Scoring | None = None
    """``attention`` or ``coactivation``; by default the profile's better one."""

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        model: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        scan: ScanSettings | None = None,
        retrieve: RetrieveSettings | None = None,
        **fields: Any,
    ) -> Self:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder; ``None`` keeps the index in memory.
            model: other weights of the same model: a hub id, a folder or a ``.gguf`` file.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware has it, else float32.
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.
            **fields: of the retriever: ``max_tokens``, ``k`` and so on.

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine = Engine.from_profile(
            profile, path, model=model, device=device, dtype=dtype, scan=scan, retrieve=retrieve
        )
        return cls(engine=engine, **fields)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``; the arguments are those of :meth:`from_profile`."""
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
        texts = list(texts)
        documents = [
            Document(text, metadata=metadata, id=id_)
            for text, metadata, id_ in zip(
                texts,
                [{}] * len(texts) if metadatas is None else metadatas,
                [None] * len(texts) if ids is None else ids,
                strict=True,
            )
        ]
        return cls.from_documents(documents, path, profile, **options)

    def add_documents(self, documents: Iterable[Document]) -> list[str]:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. One without an id gets one, see
                :func:`~langchain_endogenous.documents.document_id`.

        Returns:
            Ids of the documents that are in the index now, in the order given.

        Raises:
            InputError: all documents are unusable.
            IndexStorageError: the index's folder cannot be written.
        """
        converted = [to_document(document) for document in documents]
        if not converted:
            return []
        report = self.engine.add(converted)
        indexed = {*report.added, *report.updated, *report.unchanged}
        return [document.id for document in converted if document.id in indexed]

    @cached_property
    def llm(self) -> ChatEndogenous:
        """A chat model over the weights that retrieve; nothing is loaded twice."""
        return ChatEndogenous(generator=self.engine.generator)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return self._retrieve(query, **overrides)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return await run_in_executor(None, partial(self._retrieve, query, **overrides))

    def _retrieve(self, query: str, **overrides: Any) -> list[Document]:
        if unknown := overrides.keys() - set(_PER_CALL):
            raise TypeError(
                f"unknown argument {', '.join(sorted(unknown))}; "
                f"a call takes {', '.join(_PER_CALL)}"
            )
        settings = {name: getattr(self, name) for name in _PER_CALL} | overrides
        return [from_span(span) for span in self.engine.retrieve(query, **settings)]
