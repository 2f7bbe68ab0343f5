"""Opening the documents of an index, wherever it lies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from s3_retriever.errors import IndexStorageError, InputError
from s3_retriever.paths import bound, is_url
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief
from s3_retriever.storage.base import DocumentStore
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index

__all__ = ["files_of", "need_postgres", "open_documents"]


def open_documents(
    path: str | Path | None, card: ProfileCard, weights: str | None = None
) -> DocumentStore:
    """The documents of an index, which is made if need be.

    Args:
        path: a folder, a ``postgresql://`` URL, or ``None`` for an index in memory.
        card: of the profile whose codes it holds.
        weights: ``weights_digest`` of the model that will read texts for it; ``None`` if none will.

    Raises:
        InputError: a URL, but psycopg is missing.
        IndexStorageError: it cannot be used or is damaged.
        IndexMismatchError: it was written with another profile, other weights or a newer release.
    """
    if not is_url(path):
        return Documents(Index(bound(path) if path is not None else None, card, weights))
    need_postgres()
    from s3_retriever.storage.postgres.documents import PostgresDocuments

    return PostgresDocuments(str(path), card, weights)


def files_of(documents: DocumentStore) -> Index:
    """The files that documents are kept in.

    Raises:
        IndexStorageError: they lie in a database.
    """
    if isinstance(documents, Documents):
        return documents.index
    raise IndexStorageError(f"index {brief(documents.location)} lies in a database, not in files")


def need_postgres() -> None:
    """Make sure that what speaks to PostgreSQL is installed.

    Raises:
        InputError: it is not; says how to install it.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise InputError(
            "an index in PostgreSQL needs psycopg: pip install 's3-retriever[postgres]'"
        )
