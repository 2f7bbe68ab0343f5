"""What the retriever and the vector store do alike with documents that come in and go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, Literal

from langchain_core.documents import Document

from langchain_endogenous.documents import from_document, to_document
from s3_retriever.arguments import IDS, checked, listed
from s3_retriever.errors import InputError
from s3_retriever.integration import AddedIds, Call, Work, add_with_bar
from s3_retriever.types import Document as KeptDocument

__all__ = ["as_documents", "get_documents", "put_documents", "put_given"]


def put_documents(
    documents: Document | Iterable[Document],
    *,
    show_progress: bool = False,
    on_error: Literal["skip", "raise"] = "skip",
) -> Work[AddedIds]:
    """Read documents and put them into the index; one whose id is there is replaced.

    One that cannot be used (an empty text, say) is left out, and the log says why.

    Args:
        documents: one without an id gets one, see
            :func:`~langchain_endogenous.documents.document_id`.
        show_progress: draw a bar.
        on_error: as of :meth:`s3_retriever.Engine.add`: ``raise`` refuses the whole batch.

    Returns:
        Ids of those in the index now, in the order given; it also knows those left out.

    Raises:
        InputError: documents were given, all of them are unusable, and not all are blank.
        IndexStorageError: the index's folder cannot be written.
    """
    converted = [to_document(d) for d in listed(documents, "documents", Document)]
    return (yield from add_with_bar(converted, show_progress=show_progress, on_error=on_error))


def put_given(documents: Document | Iterable[Document], **options: Any) -> Work[AddedIds]:
    """As :func:`put_documents`, with what code that was written for vector stores passes, too.

    Args:
        documents: as there.
        **options: as there; ``ids``, in place of the documents' own; ``batch_size``, which means
            nothing here.

    Raises:
        InputError: as there, or ``ids`` are not as many as the documents.
    """
    options.pop("batch_size", None)
    given = listed(documents, "documents", Document)
    if (ids := options.pop("ids", None)) is not None:
        given = as_documents([d.page_content for d in given], [d.metadata for d in given], ids)
    return (yield from put_documents(given, **options))


@checked(ids=IDS)
def get_documents(ids: str | Iterable[str]) -> Work[list[Document]]:
    """Documents as they were added, each once; those that are not there are left out."""
    found: list[KeptDocument] = yield Call("get_many", (list(ids),))
    return [from_document(document) for document in found]


def as_documents(
    texts: str | Iterable[str],
    metadatas: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None,
    ids: str | Sequence[str | None] | None,
) -> list[Document]:
    """Texts, their metadata and ids as documents; one of each is a list of one.

    Raises:
        InputError: ``metadatas`` or ``ids`` are not as many as the texts, or one of them is of
            another kind.

    Example:
        >>> as_documents(["Hello."], [{"lang": "en"}], None)
        [Document(metadata={'lang': 'en'}, page_content='Hello.')]
    """
    texts = listed(texts, "texts")
    fields = [None] * len(texts) if metadatas is None else listed(metadatas, "metadatas", Mapping)
    names = [None] * len(texts) if ids is None else listed(ids, "ids")
    for what, values, kinds in (
        ("texts", texts, str),
        ("metadatas", fields, (Mapping, type(None))),
        ("ids", names, (str, Number, type(None))),
    ):
        if len(values) != len(texts):
            raise InputError(f"{len(texts)} texts and {len(values)} {what}: give one for each")
        if wrong := [type(value).__name__ for value in values if not isinstance(value, kinds)]:
            raise InputError(f"{what} hold a {wrong[0]}")
    return [
        Document(text, metadata=dict(metadata or {}), id=id_)
        for text, metadata, id_ in zip(texts, fields, names, strict=True)
    ]
