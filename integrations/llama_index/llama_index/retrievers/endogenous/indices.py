"""The engine's index under the interface of a LlamaIndex index."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.data_structs.data_structs import EmptyIndexStruct
from llama_index.core.indices.base import BaseIndex
from llama_index.core.llms.utils import LLMType
from llama_index.core.schema import BaseNode, Document, TransformComponent
from llama_index.core.storage.docstore.types import RefDocInfo
from llama_index.core.storage.storage_context import DEFAULT_PERSIST_DIR, StorageContext
from llama_index.retrievers.endogenous.base import EndogenousRetriever
from llama_index.retrievers.endogenous.llms import EndogenousLLM
from llama_index.retrievers.endogenous.nodes import own_metadata, ref_doc_id
from typing_extensions import Self

from s3_retriever.engine import Engine
from s3_retriever.profiles.cards import DEFAULT_PROFILE

__all__ = ["EndogenousIndex"]

_RETRIEVER = ("max_tokens", "k", "filter", "filters", "mode", "scoring")


class EndogenousIndex(BaseIndex[EmptyIndexStruct]):
    """An index without embeddings: documents are kept whole and found by the model's attention.

    Query and chat engines answer with the same weights unless another ``llm`` is given. With a
    ``path`` everything is on disk as soon as it is added; :meth:`persist` writes what is in memory.

    Example:
        >>> document = Document(text="The mill was built in 1780.", id_="mill")
        >>> index = EndogenousIndex.from_documents([document])
        >>> engine = index.as_query_engine()
        >>> "1780" in str(engine.query("When was the mill built?"))
        True
    """

    index_struct_cls = EmptyIndexStruct

    def __init__(
        self,
        engine: Engine,
        *,
        show_progress: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Put an engine that is loaded already under this interface.

        Args:
            engine: the model and the index; shared.
            show_progress: draw a bar while documents are read.
            callback_manager: LlamaIndex's.
        """
        super().__init__(
            index_struct=EmptyIndexStruct(),
            storage_context=_Storage(engine=engine, **vars(StorageContext.from_defaults())),
            callback_manager=callback_manager,
            transformations=[_Whole()],
            show_progress=show_progress,
        )
        self.engine = engine
        self._retriever = EndogenousRetriever(engine)

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        show_progress: bool = False,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> Self:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder; ``None`` keeps the index in memory.
            show_progress: as of the constructor.
            callback_manager: as of the constructor.
            **options: of :meth:`s3_retriever.Engine.from_profile`: ``model``, ``device``, ...

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine = Engine.from_profile(profile, path, **options)
        return cls(engine, show_progress=show_progress, callback_manager=callback_manager)

    @classmethod
    def from_documents(  # type: ignore[override]
        cls,
        documents: Sequence[Document],
        path: str | Path | None = None,
        profile: str | Path = DEFAULT_PROFILE,
        *,
        embed_model: Any = None,
        **options: Any,
    ) -> Self:
        """Load a model and add ``documents``.

        LlamaIndex makes a random id for a document without one: give ids to those that are to be
        recognised when they are added again.

        Args:
            documents: whole texts; they need no splitting.
            path: as in :meth:`from_profile`.
            profile: as in :meth:`from_profile`.
            embed_model: not used, with a warning; there for code that passes one.
            **options: of :meth:`from_profile`.
        """
        if embed_model is not None:
            warnings.warn(
                f"{type(embed_model).__name__} is not used: the model that answers finds by itself",
                stacklevel=2,
            )
        index = cls.from_profile(profile, path, **options)
        index.insert_nodes(documents)
        return index

    @cached_property
    def llm(self) -> EndogenousLLM:
        """An LLM over the weights that retrieve; nothing is loaded twice."""
        return EndogenousLLM(llm=self.engine.llm)

    def as_retriever(self, **kwargs: Any) -> EndogenousRetriever:
        """A retriever over this index.

        Args:
            **kwargs: of :class:`EndogenousRetriever`; ``similarity_top_k`` is its ``k``. What is
                none of its arguments is left to the query engine that also gets it.
        """
        own = {name: kwargs[name] for name in _RETRIEVER if name in kwargs}
        if "similarity_top_k" in kwargs:
            own.setdefault("k", kwargs["similarity_top_k"])
        return EndogenousRetriever(self.engine, callback_manager=self._callback_manager, **own)

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """LlamaIndex's query engine, with :attr:`llm` by default."""
        return super().as_query_engine(llm=llm or self.llm, **kwargs)

    def as_chat_engine(
        self, chat_mode: ChatMode = ChatMode.BEST, llm: LLMType | None = None, **kwargs: Any
    ) -> BaseChatEngine:
        """LlamaIndex's chat engine, with :attr:`llm` by default."""
        return super().as_chat_engine(chat_mode=chat_mode, llm=llm or self.llm, **kwargs)

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Add documents or nodes; one whose id is there is replaced.

        Raises:
            InputError: all of them are unusable (those that are, among others, are in the log).
        """
        self._insert(nodes)

    async def ainsert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """As :meth:`insert_nodes`; the event loop stays free."""
        await asyncio.to_thread(self._insert, nodes)

    def insert(self, document: Document, **insert_kwargs: Any) -> None:
        """Add a document; one of the same id is replaced."""
        self._insert([document])

    async def ainsert(self, document: Document, **insert_kwargs: Any) -> None:
        """As :meth:`insert`; the event loop stays free."""
        await asyncio.to_thread(self._insert, [document])

    def delete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Remove documents by id; those that are not there are no failure."""
        self.engine.delete(node_ids)

    async def adelete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_nodes`; the event loop stays free."""
        await asyncio.to_thread(self.engine.delete, node_ids)

    def delete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Remove a document by id, with the nodes that are parts of it."""
        info = self.ref_doc_info.get(ref_doc_id)
        self.delete_nodes(info.node_ids if info else [])

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_ref_doc`; the event loop stays free."""
        await asyncio.to_thread(self.delete_ref_doc, ref_doc_id)

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Replace a document by id, with the nodes that were parts of it."""
        self._replace([document])

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """As :meth:`update_ref_doc`; the event loop stays free."""
        await asyncio.to_thread(self._replace, [document])

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Add what is new or has changed; returns which of ``documents`` that was."""
        before = {d.id_: self.engine.get(d.id_) for d in documents}
        self._replace(documents)
        after = {d.id_: self.engine.get(d.id_) for d in documents}
        return [before[d.id_] != after[d.id_] for d in documents]

    async def arefresh_ref_docs(
        self, documents: Sequence[Document], **update_kwargs: Any
    ) -> list[bool]:
        """As :meth:`refresh_ref_docs`; the event loop stays free."""
        return await asyncio.to_thread(self.refresh_ref_docs, documents)

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """Every document by id, with its nodes: itself, or the parts that were inserted."""
        found: dict[str, RefDocInfo] = defaultdict(RefDocInfo)
        for doc_id, metadata in self.engine.documents.metadata():
            info = found[ref_doc_id(doc_id, metadata)]
            info.node_ids.append(doc_id)
            info.metadata = info.metadata or own_metadata(metadata)
        return dict(found)

    def persist(self, path: str | Path) -> None:
        """Write the index to a new or empty folder, for :meth:`from_profile` to open.

        ``index.storage_context.persist(folder)`` does the same.

        Raises:
            IndexStorageError: the folder cannot be used, or holds something.
        """
        self.engine.snapshot(path)

    def to_config(self) -> dict[str, Any]:
        """The index as JSON values: its engine's settings, no weights and no documents."""
        return {"engine": self.engine.to_config(), "show_progress": self._show_progress}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: Engine | None = None) -> Self:
        """Make the index that :meth:`to_config` describes; what its folder holds is there again.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return cls(
            engine or Engine.from_config(config["engine"]), show_progress=config["show_progress"]
        )

    def _insert(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        self._retriever.add_documents(nodes, show_progress=self._show_progress)

    def _replace(self, documents: Sequence[Document]) -> None:
        """Add whole documents; nodes that were parts of them go."""
        self._insert(documents)
        info = self.ref_doc_info
        whole = {d.id_ for d in documents if d.id_ in info}
        self.engine.delete([i for name in whole for i in info[name].node_ids if i not in whole])

    def _build_index_from_nodes(
        self, nodes: Sequence[BaseNode], **build_kwargs: Any
    ) -> EmptyIndexStruct:
        raise NotImplementedError("use EndogenousIndex.from_documents")

    def _delete_node(self, node_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([node_id])


@dataclass(kw_only=True)
class _Storage(StorageContext):
    """Persists the engine's index, and not LlamaIndex's stores, which are empty here."""

    engine: Engine

    def persist(
        self,
        persist_dir: str | os.PathLike[str] = DEFAULT_PERSIST_DIR,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.engine.snapshot(Path(persist_dir))


class _Whole(TransformComponent):
    """Leaves documents whole: in place of LlamaIndex's splitter."""

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        return nodes
