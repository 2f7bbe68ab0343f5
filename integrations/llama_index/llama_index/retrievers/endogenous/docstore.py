"""The documents of the engine's index under the interface of a LlamaIndex document store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.schema import BaseNode
from llama_index.core.storage.docstore.keyval_docstore import KVDocumentStore
from llama_index.core.storage.docstore.types import RefDocInfo
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.core.storage.kvstore.types import BaseKVStore
from llama_index.retrievers.endogenous.nodes import own_metadata, ref_doc_id, to_document, to_node

from s3_retriever.integration import AnyEngine, Call, Work, source_of
from s3_retriever.types import Document

__all__ = ["EndogenousDocumentStore", "ref_docs"]


class EndogenousDocumentStore(KVDocumentStore):
    """What is in an engine's index, as LlamaIndex's document stores show it.

    Nothing is kept twice: reading reads the index, and what is put here goes into it.

    Example:
        >>> from s3_retriever import Engine
        >>> engine = Engine.from_profile()
        >>> report = engine.add([Document("mill", "The mill was built in 1780.")])
        >>> store = EndogenousDocumentStore(engine)
        >>> list(store.docs), store.get_document("mill").get_content()
        (['mill'], 'The mill was built in 1780.')
    """

    def __init__(self, engine: AnyEngine) -> None:
        """Show an engine's documents.

        Args:
            engine: the model and the index, or a client of a server's; shared.
        """
        super().__init__(_Documents(engine))
        self._engine = engine

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._engine!r})"


def ref_docs() -> Work[dict[str, RefDocInfo]]:
    """Every document by id, with its nodes: itself, or the parts that were inserted."""
    found: dict[str, RefDocInfo] = defaultdict(RefDocInfo)
    known: Sequence[tuple[str, Mapping[str, Any]]] = yield Call("metadata")
    for doc_id, metadata in known:
        info = found[ref_doc_id(doc_id, metadata)]
        info.node_ids.append(doc_id)
        info.metadata = info.metadata or own_metadata(metadata)
    return dict(found)


class _Documents(BaseKVStore):
    """The tables that a document store looks into: nodes, their hashes, and whose parts they are.

    Only nodes are written and removed; the other two tables follow from them.
    """

    def __init__(self, engine: AnyEngine) -> None:
        self._source = source_of(engine)

    def get(self, key: str, collection: str = "data") -> dict[str, Any] | None:
        return self._source.run(_get(key, _table(collection)))

    def get_all(self, collection: str = "data") -> dict[str, dict[str, Any]]:
        return self._source.run(_get_all(_table(collection)))

    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = "data",
        batch_size: int = 1,
    ) -> None:
        self._source.run(_put_all(kv_pairs, _table(collection)))

    def put(self, key: str, val: dict[str, Any], collection: str = "data") -> None:
        self.put_all([(key, val)], collection)

    def delete(self, key: str, collection: str = "data") -> bool:
        return self._source.run(_delete(key, _table(collection)))

    async def aget(self, key: str, collection: str = "data") -> dict[str, Any] | None:
        return await self._source.arun(_get(key, _table(collection)))

    async def aget_all(self, collection: str = "data") -> dict[str, dict[str, Any]]:
        return await self._source.arun(_get_all(_table(collection)))

    async def aput_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = "data",
        batch_size: int = 1,
    ) -> None:
        await self._source.arun(_put_all(kv_pairs, _table(collection)))

    async def aput(self, key: str, val: dict[str, Any], collection: str = "data") -> None:
        await self.aput_all([(key, val)], collection)

    async def adelete(self, key: str, collection: str = "data") -> bool:
        return await self._source.arun(_delete(key, _table(collection)))


def _get(key: str, table: str) -> Work[dict[str, Any] | None]:
    if table == "ref_doc_info":
        return (yield from _get_all(table)).get(key)
    found: list[Document] = yield Call("get_many", ([key],))
    return _row(found[0], table) if found else None


def _get_all(table: str) -> Work[dict[str, dict[str, Any]]]:
    if table == "ref_doc_info":
        infos = yield from ref_docs()
        return {key: info.to_dict() for key, info in infos.items()}
    ids: list[str] = yield Call("ids", (None, None))
    found: list[Document] = yield Call("get_many", (ids,))
    return {document.id: _row(document, table) for document in found}


def _put_all(pairs: Sequence[tuple[str, dict[str, Any]]], table: str) -> Work[None]:
    if table == "data" and pairs:
        documents = [to_document(json_to_doc(value)) for _, value in pairs]
        yield Call("add", (documents,))


def _delete(key: str, table: str) -> Work[bool]:
    there: set[str] = yield Call("existing", ([key],))
    if there and table == "data":
        yield Call("delete", ([key],))
    return bool(there)


def _table(collection: str) -> str:
    """Which of a document store's tables it asks for, whatever its namespace."""
    return collection.rpartition("/")[2]


def _row(document: Document, table: str) -> dict[str, Any]:
    node: BaseNode = to_node(document)
    if table == "data":
        return doc_to_json(node)
    part_of = {} if node.ref_doc_id is None else {"ref_doc_id": node.ref_doc_id}
    return {"doc_hash": node.hash, **part_of}
