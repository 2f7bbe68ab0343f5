"""The documents of one index: what can be done with them without the model."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3_retriever.search.filters import Filter
from s3_retriever.storage import maintenance
from s3_retriever.storage.bundle import Imported, export_bundle, import_bundle
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import Compaction
from s3_retriever.storage.view import View
from s3_retriever.types import Document

__all__ = ["Documents"]

_WAIT = 10.0
"""Seconds: a commit takes a moment; what takes longer (compaction, repair) is not waited for."""


class Documents:
    """Reads and changes the documents of an index; threads of this process take turns to write."""

    def __init__(self, index: Index) -> None:
        """Other processes that write get an error while this one does."""
        self.index = index
        self.write_lock = threading.RLock()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one that writes: threads take turns, another process is waited for a while.

        Raises:
            IndexLockedError: another process goes on writing.
            IndexStorageError: the folder is not writable.
        """
        with self.write_lock, self.index.writing(wait=_WAIT):
            yield

    @property
    def view(self) -> View:
        """The newest state, what other processes have committed included."""
        self.index.refresh()
        return self.index.view

    def refresh(self) -> None:
        """See what other processes have committed; reading methods do so by themselves."""
        self.index.refresh()

    def get(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``.

        Raises:
            IndexStorageError: its text was damaged since.
        """
        return self.view.document(doc_id)

    def ids(self, filter: Filter | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass ``filter``, in order of addition.

        Raises:
            InputError: an unknown operator.
        """
        return self.view.document_ids(filter)

    def metadata(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every document's id and metadata, which are not to be changed."""
        view = self.view
        for doc_id in view.document_ids():
            yield doc_id, view.metadata(doc_id)

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return doc_id in self.view

    def __len__(self) -> int:
        """Number of documents."""
        return self.view.n_documents

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; returns how many were there."""
        with self.write_lock:
            return maintenance.delete(self.index, [ids] if isinstance(ids, str) else ids)

    def delete_where(self, filter: Filter) -> int:
        """Remove the documents whose metadata pass ``filter``; returns how many.

        Raises:
            InputError: an empty or wrong filter.
        """
        with self.write_lock:
            return maintenance.delete_where(self.index, filter)

    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """Replace documents' metadata, by id, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: metadata that cannot be stored; nothing was changed.
        """
        with self.write_lock:
            return maintenance.update_metadata(self.index, changes)

    def compact(self) -> Compaction:
        """Reclaim the space of what was deleted; questions go on meanwhile."""
        with self.write_lock:
            return maintenance.compact(self.index)

    def snapshot(self, folder: str | Path) -> None:
        """Copy the index to a new folder, where it can be opened.

        Raises:
            IndexStorageError: the folder is not empty or cannot be written.
        """
        with self.write_lock:
            maintenance.snapshot(self.index, Path(folder))

    def export_bundle(self, path: str | Path) -> int:
        """Write all documents with their codes into one file; returns how many.

        Raises:
            InputError: there are none.
            IndexStorageError: the file cannot be written.
        """
        self.index.refresh()
        return export_bundle(self.index, Path(path))

    def import_bundle(self, path: str | Path) -> Imported:
        """Add the documents of a bundle, without reading them; same ids are replaced.

        Raises:
            IndexMismatchError: it was made with another profile.
            IndexStorageError: it is no bundle, or damaged.
        """
        with self.write_lock:
            return import_bundle(self.index, Path(path))
