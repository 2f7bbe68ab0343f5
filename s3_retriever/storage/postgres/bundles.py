"""Bundles out of tables and into them: the same files as those of an index in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError
from s3_retriever.storage.bundle import Imported, opened_bundle, write_bundle
from s3_retriever.storage.folder import outside_indexes
from s3_retriever.storage.postgres.view import PostgresView
from s3_retriever.storage.segments import Segment
from s3_retriever.types import EncodedDocument

if TYPE_CHECKING:
    from s3_retriever.storage.postgres.documents import PostgresDocuments

__all__ = ["export_bundle", "import_bundle", "pieces_of"]

_SEGMENT_TOKENS = 1 << 18
"""Tokens of a segment in a bundle, about."""


def export_bundle(view: PostgresView, path: Path) -> int:
    """Write the documents of a state into one file; returns how many.

    Raises:
        InputError: there are none.
        IndexStorageError: the file cannot be written, or the server does not answer.
    """
    n = view.n_documents
    if not n:
        raise InputError("there are no documents to export")
    outside_indexes(path, None)
    n_latents = view.tables.layout.n_latents
    segments = (
        (Segment.build(f"{number:08d}-{0:08x}", coded, n_latents), ())
        for number, coded in enumerate(pieces_of(view), 1)
    )
    write_bundle(path, view.tables.layout.manifest, segments)
    return n


def pieces_of(view: PostgresView) -> Iterator[list[EncodedDocument]]:
    """All documents of a state with their codes, in pieces that fit into memory."""
    waiting: list[str] = []
    n_waiting = 0
    directory = view.directory()
    for doc_id, n in zip(directory.ids, directory.n_tokens.tolist(), strict=True):
        waiting.append(doc_id)
        n_waiting += n
        if n_waiting >= _SEGMENT_TOKENS:
            yield view.encoded(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        yield view.encoded(waiting)


def import_bundle(documents: PostgresDocuments, path: Path) -> Imported:
    """Add the documents of a bundle; one whose id is there is replaced.

    Raises:
        IndexMismatchError: it was made with another profile or other weights.
        IndexStorageError: it is no bundle, is damaged, or the server refuses.
    """
    added: dict[str, None] = {}
    updated: dict[str, None] = {}
    with opened_bundle(path, documents.card) as (manifest, batches):
        documents.tables.accept(manifest, str(path), documents.card)
        for batch in batches:
            done = documents.commit(batch)
            added.update(dict.fromkeys(done.added))
            for doc_id in done.updated:
                (added if doc_id in added else updated)[doc_id] = None
    return Imported(tuple(added), tuple(updated))
