"""What the retriever and the vector store do alike with documents that come in and go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.indexing import UpsertResponse

from langchain_endogenous.documents import from_document, to_document
from s3_retriever.engine import Engine
from s3_retriever.integration import add_with_bar

__all__ = ["as_documents", "get_documents", "put_documents"]


def put_documents(
    engine: Engine, documents: Iterable[Document], *, show_progress: bool = False
) -> UpsertResponse:
    """Read documents and put them into the index; one whose id is there is replaced.

    One that cannot be used (an empty text, say) is left out, and the log says why.

    Args:
        engine: the model and the index.
        documents: one without an id gets one, see
            :func:`~langchain_endogenous.documents.document_id`.
        show_progress: draw a bar.

    Returns:
        Ids of those in the index now and of those left out, each in the order given.

    Raises:
        InputError: documents were given and all of them are unusable.
        IndexStorageError: the index's folder cannot be written.
    """
    converted = [to_document(document) for document in documents]
    succeeded, failed = add_with_bar(engine, converted, show_progress=show_progress)
    return UpsertResponse(succeeded=succeeded, failed=failed)


def get_documents(engine: Engine, ids: Iterable[str]) -> list[Document]:
    """Documents as they were added, each once; those that are not there are left out."""
    found = [engine.get(doc_id) for doc_id in dict.fromkeys(ids)]
    return [from_document(document) for document in found if document is not None]


def as_documents(
    texts: Iterable[str],
    metadatas: Sequence[Mapping[str, Any]] | None,
    ids: Sequence[str | None] | None,
) -> list[Document]:
    """Texts, their metadata and ids as documents.

    Raises:
        ValueError: ``metadatas`` or ``ids`` are not as many as the texts.

    Example:
        >>> as_documents(["Hello."], [{"lang": "en"}], None)
        [Document(metadata={'lang': 'en'}, page_content='Hello.')]
    """
    texts = list(texts)
    for name, values in (("metadatas", metadatas), ("ids", ids)):
        if values is not None and len(values) != len(texts):
            raise ValueError(f"{len(texts)} texts and {len(values)} {name}: give one for each")
    return [
        Document(text, metadata=dict(metadata), id=id_)
        for text, metadata, id_ in zip(
            texts, metadatas or [{}] * len(texts), ids or [None] * len(texts), strict=True
        )
    ]
