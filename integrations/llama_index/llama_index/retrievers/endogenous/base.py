"""The resident language model as a LlamaIndex retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores import MetadataFilters
from llama_index.retrievers.endogenous.filters import to_filter
from llama_index.retrievers.endogenous.nodes import from_span, to_document
from typing_extensions import Self

from s3_retriever.engine import Engine
from s3_retriever.integration import add_with_bar, open_engine, restored
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, Scoring

__all__ = ["EndogenousRetriever"]


class EndogenousRetriever(BaseRetriever):
    """Retrieves with the attention of a language model that is in memory anyway.

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
        engine: Engine,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        filters: MetadataFilters | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        """Retrieve from an engine that is loaded already.

        Args:
            engine: the model and the index; shared.
            max_tokens: budget of a result in the model's own tokens; ``None`` is no limit.
            k: most nodes of a result; ``None`` is no limit.
            filter: condition on the documents' metadata, e.g. ``{"year": {"$gte": 1990}}``.
            filters: LlamaIndex's own, in place of ``filter`` or beside it.
            mode: as of :meth:`s3_retriever.Engine.retrieve`.
            scoring: ``attention`` or ``coactivation``; by default the profile's better one.
            callback_manager: LlamaIndex's.
            verbose: LlamaIndex's.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.engine = engine
        self.max_tokens = max_tokens
        self.k = k
        self.filter = filter
        self.filters = filters
        self.mode: Mode | None = mode
        self.scoring: Scoring | None = scoring

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
        documents: Iterable[BaseNode],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``; the arguments are those of :meth:`from_profile`."""
        retriever = cls.from_profile(profile, path, **options)
        retriever.add_documents(documents)
        return retriever

    def add_documents(
        self, documents: Iterable[BaseNode], *, show_progress: bool = False
    ) -> list[str]:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. LlamaIndex makes a random id for one
                without: give ids (``id_``, or a reader's ``filename_as_id``) to documents that
                are to be recognised when they are added again.
            show_progress: draw a bar.

        Returns:
            Ids of the documents that are in the index now, in the order given.

        Raises:
            InputError: all documents are unusable.
            IndexStorageError: the index's folder cannot be written.
        """
        converted = [to_document(document) for document in documents]
        return add_with_bar(self.engine, converted, show_progress=show_progress)[0]

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
    def from_config(cls, config: Mapping[str, Any], *, engine: Engine | None = None) -> Self:
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
        spans = self.engine.retrieve(
            query_bundle.query_str,
            max_tokens=self.max_tokens,
            k=self.k,
            filter=self._condition(),
            mode=self.mode,
            scoring=self.scoring,
        )
        return [from_span(span) for span in spans]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _condition(self) -> Filter | None:
        """Both kinds of filters as one."""
        if self.filters is None:
            return self.filter
        translated = to_filter(self.filters, self._values)
        return translated if self.filter is None else {"$and": [self.filter, translated]}

    def _values(self, key: str) -> Iterator[Any]:
        """What the documents have in a field."""
        for _, metadata in self.engine.documents.metadata():
            yield metadata.get(key)
