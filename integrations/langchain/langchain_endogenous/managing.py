"""What people expect of a store beside searching: to read, count, replace and remove documents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from langchain_endogenous.adding import get_documents, put_given
from s3_retriever.arguments import FILTER, IDS, SOME_COUNT, checked, listed
from s3_retriever.errors import InputError
from s3_retriever.integration import AddedIds, Call, Source, Work, deleted
from s3_retriever.quoting import quoted
from s3_retriever.search.filters import Filter
from s3_retriever.types import Document as KeptDocument

__all__ = ["ManagedStore", "removed"]

_SHOWN = ("metadatas", "documents")
_NO_VECTORS = (
    "there are no vectors here: the model that answers finds text by its own attention; give the "
    "text to similarity_search or max_marginal_relevance_search"
)


class ManagedStore(VectorStore):
    """A store whose documents can be read, counted, replaced and removed.

    Every method has an awaited twin, whose name begins with an ``a``.
    """

    @property
    @abstractmethod
    def _source(self) -> Source:
        """What does the work."""

    def get(
        self,
        ids: str | Sequence[str] | None = None,
        where: Filter | None = None,
        limit: int | None = None,
        offset: int | None = None,
        include: Sequence[str] = _SHOWN,
    ) -> dict[str, Any]:
        """Documents as Chroma gives them: ``ids``, ``documents`` (texts) and ``metadatas``.

        Args:
            ids: of these; by default of all, in order of addition.
            where: condition on metadata, as ``filter`` elsewhere.
            limit: most documents.
            offset: how many are passed over first.
            include: which of ``documents`` and ``metadatas`` to give; the other is ``None``.

        Raises:
            InputError: an argument cannot be used; embeddings are asked for.

        Example:
            >>> from langchain_endogenous import EndogenousVectorStore
            >>> store = EndogenousVectorStore.from_texts(["Fox.", "Owl."], ids=["f", "o"])
            >>> store.get(limit=1, offset=1, include=["documents"])
            {'ids': ['o'], 'documents': ['Owl.'], 'metadatas': None}
        """
        return self._source.run(_rows(ids, where, limit, offset, include))

    async def aget(
        self,
        ids: str | Sequence[str] | None = None,
        where: Filter | None = None,
        limit: int | None = None,
        offset: int | None = None,
        include: Sequence[str] = _SHOWN,
    ) -> dict[str, Any]:
        """As :meth:`get`; the event loop stays free."""
        return await self._source.arun(_rows(ids, where, limit, offset, include))

    def count(self, filter: Filter | None = None) -> int:
        """Number of documents, or of those whose metadata pass ``filter``."""
        return self._source.run(_counted(filter))

    async def acount(self, filter: Filter | None = None) -> int:
        """As :meth:`count`; the event loop stays free."""
        return await self._source.arun(_counted(filter))

    def update_document(self, document_id: str, document: Document) -> None:
        """Replace a document; only a text that has changed is read again.

        Args:
            document_id: of one that is there.
            document: its new text and metadata; an id of its own is not looked at.

        Raises:
            InputError: there is none of this id, or the new one cannot be used.
        """
        self._source.run(_updated([document_id], [document]))

    async def aupdate_document(self, document_id: str, document: Document) -> None:
        """As :meth:`update_document`; the event loop stays free."""
        await self._source.arun(_updated([document_id], [document]))

    def update_documents(self, ids: Sequence[str], documents: Sequence[Document]) -> None:
        """As :meth:`update_document`, for several at once: all of them or none.

        Raises:
            InputError: as there, or ``ids`` are not as many as the documents.
        """
        self._source.run(_updated(ids, documents))

    async def aupdate_documents(self, ids: Sequence[str], documents: Sequence[Document]) -> None:
        """As :meth:`update_documents`; the event loop stays free."""
        await self._source.arun(_updated(ids, documents))

    def delete(
        self,
        ids: list[str] | None = None,
        *,
        filter: Filter | None = None,
        where: Filter | None = None,
        **kwargs: Any,
    ) -> bool:
        """Remove documents by id, or those that pass a filter; what is not there is no failure.

        The id of a span that was found names the document it was cut from.

        Args:
            ids: of documents or spans.
            filter: condition on metadata; not empty (:meth:`delete_collection` removes all).
            where: another name of ``filter``.
            **kwargs: nothing that is known here.

        Raises:
            InputError: neither or both are given, the filter is empty or wrong.
        """
        self._source.run(_removed_of(ids, filter, where, kwargs))
        return True

    async def adelete(
        self,
        ids: list[str] | None = None,
        *,
        filter: Filter | None = None,
        where: Filter | None = None,
        **kwargs: Any,
    ) -> bool:
        """As :meth:`delete`; the event loop stays free."""
        await self._source.arun(_removed_of(ids, filter, where, kwargs))
        return True

    def delete_collection(self) -> None:
        """Remove all documents of this index (of this namespace); it can be added to again."""
        self._source.run(_emptied())

    async def adelete_collection(self) -> None:
        """As :meth:`delete_collection`; the event loop stays free."""
        await self._source.arun(_emptied())

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents as they were added; ids that are not there are left out."""
        return self._source.run(get_documents(ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As :meth:`get_by_ids`; the event loop stays free."""
        return await self._source.arun(get_documents(ids))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Refuse: there are no vectors to compare with.

        Raises:
            InputError: always; it says what to use.
        """
        raise InputError(_NO_VECTORS)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Refuse, as :meth:`similarity_search_by_vector`.

        Raises:
            InputError: always; it says what to use.
        """
        raise InputError(_NO_VECTORS)


@checked(filter=FILTER)
def removed(ids: str | Iterable[str] | None, filter: Filter | None = None) -> Work[list[str]]:
    """Remove documents by ids of them or of their spans, or by a filter.

    Returns:
        Those of ``ids`` that named something; with a filter, the ids of what is removed.

    Raises:
        InputError: neither or both are given: ``None`` is no wish for all.
    """
    if (ids is None) == (filter is None):
        raise InputError("delete needs the ids of documents, or a filter, and not both")
    if ids is not None:
        return (yield from deleted(ids))
    if not filter:
        raise InputError("delete needs a filter that is not empty; delete_collection removes all")
    passing: list[str] = yield Call("ids", (filter, None))
    yield Call("delete_where", (filter,))
    return passing


@checked(where=FILTER, limit=SOME_COUNT)
def _rows(
    ids: str | Sequence[str] | None,
    where: Filter | None,
    limit: int | None,
    offset: int | None,
    include: Sequence[str],
) -> Work[dict[str, Any]]:
    shown = listed(include, "include")
    if unknown := [quoted(name) for name in shown if name not in _SHOWN]:
        reason = "; there are no embeddings" if "embeddings" in shown else ""
        raise InputError(f"include takes documents and metadatas, not {unknown[0]}{reason}")
    first = 0 if offset is None else _position(offset)
    names = yield from _names(ids, where, None if limit is None else first + limit)
    wanted = names[first : None if limit is None else first + limit]
    found: list[KeptDocument] = (yield Call("get_many", (wanted,))) if wanted else []
    return {
        "ids": [document.id for document in found],
        "documents": [d.text for d in found] if "documents" in shown else None,
        "metadatas": [dict(d.metadata) for d in found] if "metadatas" in shown else None,
    }


def _names(
    ids: str | Sequence[str] | None, where: Filter | None, most: int | None
) -> Work[list[str]]:
    """Ids of the documents that are asked for, of those that are there."""
    # an empty filter is Chroma's word for none
    where = where or None
    if ids is None:
        passing: list[str] = yield Call("ids", (where, most))
        return passing
    given = list(dict.fromkeys(listed(ids, "ids")))
    if where is None:
        there: set[str] = (yield Call("existing", (given,))) if given else set()
    else:
        there = set((yield Call("ids", (where, None))))
    return [doc_id for doc_id in given if doc_id in there]


def _position(offset: Any) -> int:
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise InputError("offset must be a whole number from 0")
    return offset


@checked(filter=FILTER)
def _counted(filter: Filter | None) -> Work[int]:
    n: int = yield Call("count", (filter or None,))
    return n


@checked(ids=IDS)
def _updated(ids: Sequence[str], documents: Document | Sequence[Document]) -> Work[AddedIds]:
    there: set[str] = (yield Call("existing", (ids,))) if ids else set()
    if missing := [doc_id for doc_id in ids if doc_id not in there]:
        raise InputError(
            f"there is no document {quoted(missing[0])} to update; add_documents adds one"
        )
    return (yield from put_given(documents, ids=list(ids), on_error="raise"))


def _removed_of(
    ids: list[str] | None, filter: Filter | None, where: Filter | None, others: dict[str, Any]
) -> Work[list[str]]:
    if others:
        raise TypeError(f"delete takes ids or filter, not {', '.join(sorted(others))}")
    if filter is not None and where is not None:
        raise InputError("where is another name of filter: give one of them")
    return (yield from removed(ids, where if filter is None else filter))


def _emptied() -> Work[None]:
    every: list[str] = yield Call("ids", (None, None))
    if every:
        yield Call("delete", (every,))
