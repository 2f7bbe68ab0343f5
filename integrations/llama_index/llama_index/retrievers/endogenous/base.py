"""The resident language model as a LlamaIndex retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import (
    BaseNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from typing_extensions import Self

from s3_retriever.config import Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.engine import DEFAULT_PROFILE, Engine
from s3_retriever.index.filters import Filter
from s3_retriever.types import Document, Span

__all__ = ["EndogenousRetriever"]

SCORE_KIND = "sum of relative scores"
"""What a node's score is: it orders the nodes of one result, and says no more."""


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
        mode: Mode = "hybrid",
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
            mode: ``hybrid`` joins features and words; ``features`` and ``bm25`` are either alone.
            scoring: ``attention`` or ``coactivation``; by default the profile's better one.
            callback_manager: LlamaIndex's.
            verbose: LlamaIndex's.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.engine = engine
        self.max_tokens = max_tokens
        self.k = k
        self.filter = filter
        self.mode: Mode = mode
        self.scoring: Scoring | None = scoring

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
        **options: Any,
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
            **options: of the retriever: ``max_tokens``, ``k`` and so on.

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine = Engine.from_profile(
            profile, path, model=model, device=device, dtype=dtype, scan=scan, retrieve=retrieve
        )
        return cls(engine, **options)

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

    def add_documents(self, documents: Iterable[BaseNode]) -> list[str]:
        """Read documents and put them into the index; one whose id is there is replaced.

        A document that cannot be used (an empty text, say) is left out with a warning in the log;
        ``retriever.engine.add`` reports in detail and can refuse the whole batch.

        Args:
            documents: whole texts; they need no splitting. LlamaIndex makes a random id for one
                without: give ids (``id_``, or a reader's ``filename_as_id``) to documents that
                are to be recognised when they are added again.

        Returns:
            Ids of the documents that are in the index now, in the order given.

        Raises:
            InputError: all documents are unusable.
            IndexStorageError: the index's folder cannot be written.
        """
        converted = [
            Document(d.node_id, d.get_content(metadata_mode=MetadataMode.NONE), d.metadata)
            for d in documents
        ]
        if not converted:
            return []
        report = self.engine.add(converted)
        indexed = {*report.added, *report.updated, *report.unchanged}
        return [document.id for document in converted if document.id in indexed]

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        spans = self.engine.retrieve(
            query_bundle.query_str,
            max_tokens=self.max_tokens,
            k=self.k,
            filter=self.filter,
            mode=self.mode,
            scoring=self.scoring,
        )
        return [_node(span) for span in spans]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(span: Span) -> NodeWithScore:
    own = {"rank": span.rank, "scores": dict(span.scores), "score_kind": SCORE_KIND}
    node = TextNode(
        id_=span.id,
        text=span.text,
        start_char_idx=span.start,
        end_char_idx=span.end,
        metadata={**span.metadata, **own},
        excluded_llm_metadata_keys=list(own),
        excluded_embed_metadata_keys=list(own),
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(
                node_id=span.doc_id,
                node_type=ObjectType.DOCUMENT,
                metadata=dict(span.metadata),
            )
        },
    )
    return NodeWithScore(node=node, score=span.score)
