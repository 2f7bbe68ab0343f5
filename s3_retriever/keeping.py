"""What can be done with documents that are kept, without the model: the engine's other half."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from s3_retriever.index import upkeep
from s3_retriever.index.bundle import Imported, export_bundle, import_bundle
from s3_retriever.index.filters import Filter, compile_filter
from s3_retriever.index.store import Index
from s3_retriever.index.upkeep import Compaction
from s3_retriever.types import Document

__all__ = ["Keeping"]


class Keeping:
    """Documents in an index; :class:`~s3_retriever.engine.Engine` inherits these methods."""

    def __init__(self, index: Index) -> None:
        """Threads of this process take turns to write; other processes get an error."""
        self.index = index
        self._write_lock = threading.Lock()

    def refresh(self) -> None:
        """See what other processes have committed; reading methods do so by themselves."""
        self.index.refresh()

    def get(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``.

        Raises:
            IndexStorageError: its text was damaged since.
        """
        self.index.refresh()
        found = self.index.snapshot.live.get(doc_id)
        if found is None:
            return None
        segment, entry = found
        return Document(entry.id, segment.text(entry), deepcopy(entry.metadata))

    def ids(self, filter: Filter | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass ``filter``, in order of addition.

        Raises:
            InputError: an unknown operator.
        """
        self.index.refresh()
        snapshot = self.index.snapshot
        if filter is None:
            return list(snapshot.live)
        matching = snapshot.matching(compile_filter(filter))
        return [
            snapshot.segments[name].entries[number].id
            for name, numbers in matching.items()
            for number in numbers
        ]

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        self.index.refresh()
        return doc_id in self.index.snapshot.live

    def __len__(self) -> int:
        """Number of documents."""
        self.index.refresh()
        return len(self.index.snapshot.live)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; returns how many were there."""
        with self._write_lock:
            return upkeep.delete(self.index, [ids] if isinstance(ids, str) else ids)

    def delete_where(self, filter: Filter) -> int:
        """Remove the documents whose metadata pass ``filter``; returns how many.

        Raises:
            InputError: an empty or wrong filter.
        """
        with self._write_lock:
            return upkeep.delete_where(self.index, filter)

    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """Replace documents' metadata, by id, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: metadata that cannot be stored; nothing was changed.
        """
        with self._write_lock:
            return upkeep.update_metadata(self.index, changes)

    def compact(self) -> Compaction:
        """Reclaim the space of what was deleted; questions go on meanwhile."""
        with self._write_lock:
            return upkeep.compact(self.index)

    def snapshot(self, folder: str | Path) -> None:
        """Copy the index to a new folder, where it can be opened.

        Raises:
            IndexStorageError: the folder is not empty or cannot be written.
        """
        with self._write_lock:
            upkeep.snapshot(self.index, Path(folder))

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
        with self._write_lock:
            return import_bundle(self.index, Path(path))
