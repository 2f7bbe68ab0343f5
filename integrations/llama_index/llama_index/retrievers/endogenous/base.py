"""The resident language model as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, QueryType
from llama_index.core.vector_stores import MetadataFilters
from llama_index.retrievers.endogenous.filters import looks_up, stored_filter, to_filter
from llama_index.retrievers.endogenous.nodes import nodes_within, to_document
from pydantic import SecretStr
from typing_extensions import Self

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    AddedIds,
    AnyEngine,
    Call,
    Source,
    Work,
    add_with_bar,
    connected,
    made,
    open_engine,
    restored,
    source_of,
)
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, Scoring
from s3_retriever.types import Span

__all__ = ["EndogenousRetriever", "added"]


class EndogenousRetriever(BaseRetriever):
    """Retrieves with the attention of a language model that is in memory, here or on a server.

    What comes back are exact spans of the added texts: ``text[node.start_char_idx:
    node.end_char_idx] == node.text``. A node's metadata are its document's, and ``rank``,
    ``scores`` (by leg) and ``score_kind``, which are kept out of prompts; the document's own,
    untouched, are those of ``node.source_node``.

    Example:
        >>> from llama_index.core import Document
        >>> retriever = EndogenousRetriever.from_documents(
        ...     [Document(text="The Eiffel Tower was finished in 1889.", id_="tower")]
        ... )
        >>> found = retriever.retrieve("When was the Eiffel Tower finished?")[0]
        >>> found.node_id, found.text
        ('tower:0-38', 'The Eiffel Tower was finished in 1889.')
    """

    def __init__(
        self,
        engine: AnyEngine | None = None,
        *,
        url: str | None = None,
        token: str | SecretStr | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        filters: MetadataFilters | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        """Retrieve from an engine that is loaded already, here or on a server.

        Args:
            engine: the model and the index, or a client of a server's; shared.
            url: of a server (``s3-retriever serve``), in place of an engine. Awaited methods then
                take no threads.
            token: as of :class:`s3_retriever.client.Client`.
            namespace: as there.
            timeout: as there.
            max_tokens: budget of a result in the model's own tokens, as a synthesizer shows it:
                with the metadata before each text and the lines between; ``None`` is no limit.
            k: most nodes of a result; ``None`` is no limit.
            filter: condition on the documents' metadata, e.g. ``{"year": {"$gte": 1990}}``.
            filters: LlamaIndex's own, in place of ``filter`` or beside it.
            mode: as of :meth:`s3_retriever.Engine.retrieve`.
            scoring: ``attention`` or ``coactivation``; by default the profile's better one.
            callback_manager: LlamaIndex's.
            verbose: LlamaIndex's.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.engine: AnyEngine = connected(engine, url, token, namespace, timeout)
        self.max_tokens = max_tokens
        self.k = k
        self.filter = filter
        self.filters = filters
        self.mode: Mode | None = mode
        self.scoring: Scoring | None = scoring

    def __repr__(self) -> str:
        budget = f"max_tokens={self.max_tokens}, k={self.k}"
        return f"{type(self).__name__}({self.engine!r}, {budget})"

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
        """A retriever around a new engine (:meth:`s3_retriever.Engine.from_profile`).

        Args:
            profile: as there.
            path: as there.
            **options: as there, and ``max_tokens``, ``k`` and so on of the retriever.
        """
        engine, own = open_engine(profile, path, options)
        return cls(engine, **own)

    @classmethod
    def from_documents(
        cls,
        documents: BaseNode | Iterable[BaseNode],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``; the arguments are those of :meth:`from_profile`.

        With a server's ``url`` (and what belongs to it) nothing is loaded.
        """
        retriever: Self = made(cls, profile, path, options)
        retriever.add_documents(documents)
        return retriever

    def add_documents(
        self,
        documents: BaseNode | Iterable[BaseNode],
        *,
        show_progress: bool = False,
        on_error: Literal["skip", "raise"] = "skip",
    ) -> AddedIds:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. LlamaIndex makes a random id for one
                without: give ids (``id_``, or a reader's ``filename_as_id``) to documents that
                are to be recognised when they are added again.
            show_progress: draw a bar.
            on_error: ``raise`` refuses the whole batch for one that cannot be used.

        Returns:
            Ids of the documents that are in the index now, in the order given; its ``skipped`` is
            the reason by id for each of the others, ``given`` has an entry for each document given.

        Raises:
            InputError: all documents are unusable, and not all are blank.
            IndexStorageError: the index's folder cannot be written.
        """
        work = added(documents, show_progress=show_progress, on_error=on_error)
        return self._source.run(work)

    async def aadd_documents(
        self,
        documents: BaseNode | Iterable[BaseNode],
        *,
        show_progress: bool = False,
        on_error: Literal["skip", "raise"] = "skip",
    ) -> AddedIds:
        """As :meth:`add_documents`; the event loop stays free."""
        work = added(documents, show_progress=show_progress, on_error=on_error)
        return await self._source.arun(work)

    def retrieve(self, str_or_query_bundle: QueryType) -> list[NodeWithScore]:
        """Spans for a question, best first.

        Args:
            str_or_query_bundle: a question, as text or in LlamaIndex's bundle.

        Raises:
            InputError: it is no question, or one that cannot be used.
        """
        return super().retrieve(_asked(str_or_query_bundle))

    async def aretrieve(self, str_or_query_bundle: QueryType) -> list[NodeWithScore]:
        """As :meth:`retrieve`; the event loop stays free."""
        return await super().aretrieve(_asked(str_or_query_bundle))

    def to_config(self) -> dict[str, Any]:
        """The retriever as JSON values: its engine's settings and its own, no weights."""
        return {
            "engine": self.engine.to_config(),
            "max_tokens": self.max_tokens,
            "k": self.k,
            "filter": None if self.filter is None else dict(self.filter),
            "filters": None if self.filters is None else self.filters.model_dump(mode="json"),
            "mode": self.mode,
            "scoring": self.scoring,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: AnyEngine | None = None) -> Self:
        """Make the retriever that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.

        Raises:
            EndogenousError: as :meth:`from_profile`.
        """
        own = dict(config)
        if own.get("filters") is not None:
            own["filters"] = MetadataFilters.model_validate(own["filters"])
        return restored(cls, own, engine)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._source.run(self._found(query_bundle.query_str))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self._source.arun(self._found(query_bundle.query_str))

    def _found(self, question: str) -> Work[list[NodeWithScore]]:
        condition = yield from self._condition()
        asked = {
            "max_tokens": self.max_tokens,
            "k": self.k,
            "filter": condition,
            "mode": self.mode,
            "scoring": self.scoring,
        }
        spans: list[Span] = yield Call("retrieve", (question,), asked)
        return (yield from nodes_within(spans, self.max_tokens))

    def _condition(self) -> Work[Filter | None]:
        """Both kinds of filters as one."""
        own = None if self.filter is None else stored_filter(self.filter)
        if self.filters is None:
            return own
        known: Sequence[tuple[str, Mapping[str, Any]]] = ()
        if looks_up(self.filters):
            known = yield Call("metadata")
        translated = to_filter(self.filters, lambda key: (m.get(key) for _, m in known))
        return translated if own is None else {"$and": [own, translated]}


def added(
    documents: BaseNode | Iterable[BaseNode],
    *,
    show_progress: bool = False,
    on_error: Literal["skip", "raise"] = "skip",
) -> Work[AddedIds]:
    """Read documents and put them into the index, as a source does it.

    Args:
        documents: as of :meth:`EndogenousRetriever.add_documents`; so are the others.
        show_progress: draw a bar.
        on_error: ``raise`` refuses the whole batch.
    """
    converted = [to_document(d) for d in listed(documents, "documents", BaseNode)]
    return (yield from add_with_bar(converted, show_progress=show_progress, on_error=on_error))


def _asked(question: Any) -> QueryType:
    """A question that LlamaIndex can put into its events."""
    if isinstance(question, (str, QueryBundle)):
        return question
    raise InputError(f"a question is a string or a QueryBundle, not {type(question).__name__}")
