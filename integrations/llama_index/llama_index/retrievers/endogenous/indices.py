"""The engine's index under the interface of a LlamaIndex index."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
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
from llama_index.retrievers.endogenous.base import EndogenousRetriever, added
from llama_index.retrievers.endogenous.docstore import EndogenousDocumentStore, ref_docs
from llama_index.retrievers.endogenous.foreign import FOREIGN, check_arguments, check_output
from llama_index.retrievers.endogenous.llms import EndogenousLLM
from pydantic import SecretStr
from typing_extensions import Self

from s3_retriever.arguments import IDS, NAME, checked, listed
from s3_retriever.client import Client
from s3_retriever.errors import InputError
from s3_retriever.integration import (
    AnyEngine,
    Call,
    Source,
    Work,
    connected,
    deleted,
    engine_from_config,
    made,
    open_engine,
    source_of,
)
from s3_retriever.paths import bound, is_url
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.types import Document as KeptDocument
from s3_retriever.validation import is_blank

__all__ = ["EndogenousIndex"]

logger = logging.getLogger(__name__)

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
        engine: AnyEngine | None = None,
        *,
        url: str | None = None,
        token: str | SecretStr | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        show_progress: bool = False,
        callback_manager: CallbackManager | None = None,
        **foreign: Any,
    ) -> None:
        """Put an engine that is loaded already, here or on a server, under this interface.

        Args:
            engine: the model and the index, or a client of a server's; shared.
            url: of a server (``s3-retriever serve``), in place of an engine. Awaited methods then
                take no threads.
            token: as of :class:`s3_retriever.client.Client`.
            namespace: as there.
            timeout: as there.
            show_progress: draw a bar while documents are read.
            callback_manager: LlamaIndex's.
            **foreign: what LlamaIndex's other indices take; refused with what to use instead.

        Raises:
            InputError: neither or both of an engine and a url, or something foreign.
        """
        check_arguments(foreign)
        own: AnyEngine = connected(engine, url, token, namespace, timeout)
        stores = StorageContext.from_defaults(docstore=EndogenousDocumentStore(own))
        super().__init__(
            index_struct=EmptyIndexStruct(),
            storage_context=_Storage(engine=own, **vars(stores)),
            callback_manager=callback_manager,
            transformations=[_Whole()],
            show_progress=show_progress,
        )
        # load_index_from_storage would make an empty index of it, and say nothing
        self.storage_context.index_store.delete_index_struct(self.index_id)
        self.engine = own
        self._retriever = EndogenousRetriever(own)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.engine!r})"

    @property
    def _source(self) -> Source:
        return source_of(self.engine)

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
            path: the index's folder or ``postgresql://`` URL; ``None`` keeps it in memory.
            show_progress: as of the constructor.
            callback_manager: as of the constructor.
            **options: of :meth:`s3_retriever.Engine.from_profile`: ``model``, ``device``, ...

        Raises:
            EndogenousError: as :meth:`s3_retriever.Engine.from_profile`.
        """
        engine, others = open_engine(profile, path, options)
        return cls(engine, show_progress=show_progress, callback_manager=callback_manager, **others)

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
            **options: of :meth:`from_profile`; or a server's ``url`` and what belongs to it.
        """
        if embed_model is not None:
            warnings.warn(
                f"{type(embed_model).__name__} is not used: the model that answers finds by itself",
                stacklevel=2,
            )
        check_arguments({name: options[name] for name in FOREIGN if name in options})
        index: Self = made(cls, profile, path, options)
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
        """LlamaIndex's query engine, with :attr:`llm` by default.

        Raises:
            InputError: ``output_cls`` without an ``llm`` that can write objects.
        """
        check_output(llm, kwargs)
        return super().as_query_engine(llm=llm or self.llm, **kwargs)

    def as_chat_engine(
        self, chat_mode: ChatMode = ChatMode.BEST, llm: LLMType | None = None, **kwargs: Any
    ) -> BaseChatEngine:
        """LlamaIndex's chat engine, with :attr:`llm` by default.

        Raises:
            InputError: ``output_cls`` without an ``llm`` that can write objects.
        """
        check_output(llm, kwargs)
        return super().as_chat_engine(chat_mode=chat_mode, llm=llm or self.llm, **kwargs)

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Add documents or nodes; one whose id is there is replaced.

        Blank ones are left out, as is what is unusable among others; the log says which and why.

        Raises:
            InputError: all of them are unusable, and not all are blank.
        """
        self._insert(nodes)

    async def ainsert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """As :meth:`insert_nodes`; the event loop stays free."""
        await self._ainsert(nodes)

    def insert(self, document: Document, **insert_kwargs: Any) -> None:
        """Add a document; one of the same id is replaced."""
        self._insert([document])

    async def ainsert(self, document: Document, **insert_kwargs: Any) -> None:
        """As :meth:`insert`; the event loop stays free."""
        await self._ainsert([document])

    def delete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Remove documents by id; those that are not there are no failure, and in the log.

        The id of a node that was found names the document it was cut from.
        """
        self._source.run(_deleted(node_ids))

    async def adelete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_nodes`; the event loop stays free."""
        await self._source.arun(_deleted(node_ids))

    def delete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Remove a document by id, with the nodes that are parts of it."""
        self._source.run(_deleted_whole(ref_doc_id))

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_ref_doc`; the event loop stays free."""
        await self._source.arun(_deleted_whole(ref_doc_id))

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Replace a document by id, with the nodes that were parts of it."""
        self._source.run(self._replaced([document]))

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """As :meth:`update_ref_doc`; the event loop stays free."""
        await self._source.arun(self._replaced([document]))

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Add what is new or has changed; returns which of ``documents`` that was."""
        return self._source.run(self._refreshed(documents))

    async def arefresh_ref_docs(
        self, documents: Sequence[Document], **update_kwargs: Any
    ) -> list[bool]:
        """As :meth:`refresh_ref_docs`; the event loop stays free."""
        return await self._source.arun(self._refreshed(documents))

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """Every document by id, with its nodes: itself, or the parts that were inserted."""
        return self._source.run(ref_docs())

    def persist(self, path: str | Path) -> None:
        """Write the index to a folder, for :meth:`from_profile` to open.

        An index that is there is replaced, in one step. ``index.storage_context.persist(folder)``
        does the same. An index in PostgreSQL is there as soon as it is added to, and has no files:
        it is written with :meth:`s3_retriever.Engine.export_bundle`.

        Raises:
            InputError: the index is a server's, which keeps it.
            IndexMismatchError: it holds an index of another profile, or of other weights.
            IndexStorageError: the folder cannot be used, or holds something else.
        """
        _persist(self.engine, path)

    def to_config(self) -> dict[str, Any]:
        """The index as JSON values: its engine's settings, no weights and no documents."""
        return {"engine": self.engine.to_config(), "show_progress": self._show_progress}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, engine: AnyEngine | None = None) -> Self:
        """Make the index that :meth:`to_config` describes; what its folder holds is there again.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        if engine is None:
            engine = engine_from_config(config["engine"])
        return cls(engine, show_progress=config["show_progress"])

    def _insert(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        self._retriever.add_documents(nodes, show_progress=self._show_progress)

    async def _ainsert(self, nodes: Sequence[BaseNode]) -> None:
        await self._retriever.aadd_documents(nodes, show_progress=self._show_progress)

    def _replaced(self, documents: Sequence[BaseNode]) -> Work[None]:
        """Add whole documents; nodes that were parts of them go."""
        yield from added(documents, show_progress=self._show_progress)
        info = yield from ref_docs()
        replaced = {d.id_ for d in documents if d.id_ in info}
        # a page that has become blank is left out: what it said before goes all the same
        staying = replaced - {d.id_ for d in documents if is_blank(d.get_content())}
        gone = [i for name in replaced for i in info[name].node_ids if i not in staying]
        if gone:
            yield Call("delete", (gone,))

    def _refreshed(self, documents: Sequence[Document]) -> Work[list[bool]]:
        given = listed(documents, "documents", BaseNode)
        ids = [d.id_ for d in given]
        before: list[KeptDocument] = yield Call("get_many", (ids,))
        yield from self._replaced(given)
        after: list[KeptDocument] = yield Call("get_many", (ids,))
        old, new = {d.id: d for d in before}, {d.id: d for d in after}
        return [old.get(doc_id) != new.get(doc_id) for doc_id in ids]

    def _build_index_from_nodes(
        self, nodes: Sequence[BaseNode], **build_kwargs: Any
    ) -> EmptyIndexStruct:
        raise NotImplementedError("use EndogenousIndex.from_documents")

    def _delete_node(self, node_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([node_id])


@checked(ids=IDS)
def _deleted(ids: Iterable[str]) -> Work[None]:
    given = list(ids)
    there = yield from deleted(given)
    if gone := set(given) - set(there):
        logger.warning("%d of %d nodes to delete are not there", len(gone), len(given))


@checked(ref_doc_id=NAME)
def _deleted_whole(ref_doc_id: str) -> Work[None]:
    infos = yield from ref_docs()
    info = infos.get(ref_doc_id)
    yield from _deleted(info.node_ids if info else [ref_doc_id])


def _persist(engine: AnyEngine, folder: str | os.PathLike[str]) -> None:
    if isinstance(engine, Client):
        raise InputError("the index is a server's, which keeps it: back it up there")
    from s3_retriever.storage.persisting import persist

    persist(engine.index, bound(folder))


@dataclass(kw_only=True)
class _Storage(StorageContext):
    """Persists the engine's index, and not LlamaIndex's stores, which hold nothing here."""

    engine: AnyEngine

    def persist(
        self,
        persist_dir: str | os.PathLike[str] = DEFAULT_PERSIST_DIR,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not isinstance(self.engine, Client) and is_url(self.engine.documents.location):
            return  # a database has it already
        _persist(self.engine, persist_dir)


class _Whole(TransformComponent):
    """Leaves documents whole: in place of LlamaIndex's splitter."""

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        return nodes
