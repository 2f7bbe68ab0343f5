"""The documents of one index: what can be done with them without the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from s3_retriever.arguments import (
    CHANGES,
    FILTER,
    IDS,
    NAME,
    PATH,
    SOME_COUNT,
    TEXT,
    checked,
)
from s3_retriever.forking import ForkLock
from s3_retriever.paths import bound
from s3_retriever.search.filters import Filter
from s3_retriever.storage import maintenance
from s3_retriever.storage.base import Committed
from s3_retriever.storage.bundle import Imported, export_bundle, import_bundle
from s3_retriever.storage.description import describe
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import Compaction
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.namespaces import delete_namespace, namespace_folder, namespaces_in
from s3_retriever.storage.renaming import rename
from s3_retriever.storage.segment_format import text_hash
from s3_retriever.storage.segments import relabelled
from s3_retriever.storage.view import View
from s3_retriever.types import Document, EncodedDocument

__all__ = ["Documents"]

_WAIT = 10.0
"""Seconds: a commit takes a moment; what takes longer (compaction, repair) is not waited for."""


class Documents:
    """Reads and changes the documents of an index; threads of this process take turns to write."""

    def __init__(self, index: Index) -> None:
        """Other processes that write get an error while this one does."""
        self.index = index
        self.write_lock = ForkLock()

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
    def location(self) -> str | None:
        """The folder; ``None`` is in memory."""
        return str(self.index.folder) if self.index.folder else None

    @property
    def manifest(self) -> Manifest:
        """The profile that the index was made with."""
        return self.index.snapshot.manifest

    @property
    def view(self) -> View:
        """The newest state, what other processes have committed included."""
        self.index.refresh()
        return self.index.view

    def refresh(self) -> None:
        """See what other processes have committed; reading methods do so by themselves."""
        self.index.refresh()

    @checked(doc_id=NAME)
    def get(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``.

        Raises:
            IndexStorageError: its text was damaged since.
        """
        return self.view.document(doc_id)

    @checked(ids=IDS)
    def get_many(self, ids: Iterable[str]) -> list[Document]:
        """Documents as they were added, each once; those that are not there are left out.

        Raises:
            IndexStorageError: a text was damaged since.
        """
        view = self.view
        found = (view.document(doc_id) for doc_id in dict.fromkeys(ids))
        return [document for document in found if document is not None]

    @checked(filter=FILTER, limit=SOME_COUNT)
    def ids(self, filter: Filter | None = None, limit: int | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass ``filter``, in order of addition.

        Args:
            filter: condition on their metadata.
            limit: most ids; ``None`` is no limit.

        Raises:
            InputError: an unknown operator.
        """
        return self.view.document_ids(filter)[:limit]

    @checked(text=TEXT, filter=FILTER)
    def ids_of_text(self, text: str, filter: Filter | None = None) -> list[str]:
        """Ids of the documents whose text is exactly this one, in order of addition.

        Args:
            text: plain text.
            filter: condition on their metadata.

        Raises:
            InputError: an unknown operator.
        """
        view = self.view
        same = view.snapshot.ids_by_hash.get(text_hash(text), [])
        if not same or filter is None:
            return list(same)
        allowed = set(view.document_ids(filter))
        return [doc_id for doc_id in same if doc_id in allowed]

    def metadata(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every document's id and a copy of its metadata."""
        view = self.view
        for doc_id in view.document_ids():
            yield doc_id, deepcopy(dict(view.metadata(doc_id)))

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return isinstance(doc_id, str) and doc_id in self.view

    def __len__(self) -> int:
        """Number of documents."""
        return self.view.n_documents

    def check_writable(self) -> None:
        """Make sure that documents could be put there now.

        Raises:
            IndexLockedError: another process is writing.
            IndexStorageError: the folder is not writable.
        """
        with self.writing():
            pass

    def known(self, documents: Iterable[Document]) -> set[str]:
        """Ids of the documents that are there with the same text."""
        self.index.refresh()
        return {d.id for d in documents if _has_text(self.index, d)}

    def commit(self, coded: Sequence[EncodedDocument], known: Sequence[Document] = ()) -> Committed:
        """See :class:`~s3_retriever.storage.base.DocumentStore`."""
        missed, unchanged, recoded = [], [], []
        with self.writing():
            live = self.index.snapshot.live
            for document in known:
                if not _has_text(self.index, document):
                    missed.append(document)
                    continue
                segment, entry = live[document.id]
                if entry.metadata == document.metadata:
                    unchanged.append(document.id)
                else:  # only the metadata changed: the codes are still good
                    recoded.append(relabelled(segment.encoded(entry), document))
            ids = [item.document.id for item in (*recoded, *coded)]
            there = {doc_id for doc_id in ids if doc_id in live}
            if ids:
                self.index.commit([*recoded, *coded])
        return Committed(
            added=tuple(doc_id for doc_id in ids if doc_id not in there),
            updated=tuple(doc_id for doc_id in ids if doc_id in there),
            unchanged=tuple(unchanged),
            missed=tuple(missed),
        )

    @checked(ids=IDS)
    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; returns how many were there.

        Args:
            ids: of the documents; a string is one id.

        Raises:
            InputError: something else than strings.
        """
        with self.write_lock:
            return maintenance.delete(self.index, ids)

    @checked(filter=FILTER)
    def delete_where(self, filter: Filter) -> int:
        """Remove the documents whose metadata pass ``filter``; returns how many.

        Raises:
            InputError: an empty or wrong filter.
        """
        with self.write_lock:
            return maintenance.delete_where(self.index, filter)

    @checked(changes=CHANGES)
    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """Replace documents' metadata, by id, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: metadata that cannot be stored; nothing was changed.
        """
        with self.write_lock:
            return maintenance.update_metadata(self.index, changes)

    @checked(names=CHANGES)
    def rename(self, names: Mapping[str, str]) -> int:
        """Give documents other ids, by their present ones, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: an id is taken or wanted twice; nothing was changed.
        """
        with self.write_lock:
            return rename(self.index, names)

    def compact(self) -> Compaction:
        """Reclaim the space of what was deleted; questions go on meanwhile."""
        with self.write_lock:
            return maintenance.compact(self.index)

    @checked(folder=PATH)
    def snapshot(self, folder: str | Path) -> None:
        """Copy the index to a new folder, where it can be opened.

        Raises:
            IndexStorageError: the folder is not empty or cannot be written.
        """
        target = bound(folder)
        with self.write_lock:
            maintenance.snapshot(self.index, target)

    @checked(path=PATH)
    def export_bundle(self, path: str | Path) -> int:
        """Write all documents with their codes into one file; returns how many.

        Raises:
            InputError: there are none.
            IndexStorageError: the file cannot be written.
        """
        path = bound(path)
        self.index.refresh()
        return export_bundle(self.index, path)

    @checked(path=PATH)
    def import_bundle(self, path: str | Path) -> Imported:
        """Add the documents of a bundle, without reading them; same ids are replaced.

        Raises:
            IndexMismatchError: it was made with another profile.
            IndexStorageError: it is no bundle, or damaged.
        """
        path = bound(path)
        with self.write_lock:
            return import_bundle(self.index, path)

    def describe(self) -> dict[str, Any]:
        """Counts, bytes by part, the profile's name and fingerprint, as plain JSON values."""
        return describe(self.index.folder, self.view.snapshot)

    def namespace(self, name: str) -> Path | None:
        """Where a namespace of the index lies; ``None`` is in memory.

        Raises:
            InputError: no name for a namespace.
            IndexStorageError: its folder is a link, or a file.
        """
        folder = self.index.folder
        return namespace_folder(folder, name) if folder else None

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold an index, sorted.

        Raises:
            IndexStorageError: their folder, or that of one of them, is a link.
        """
        folder = self.index.folder
        return namespaces_in(folder) if folder else []

    def delete_namespace(self, name: str) -> bool:
        """Delete the index of a namespace; returns whether there was one.

        Raises:
            InputError: no name for a namespace.
            IndexLockedError: it is being written, or a server has the index.
            IndexStorageError: it cannot be moved, or a part of it is a link.
        """
        folder = self.index.folder
        return delete_namespace(folder, name) if folder else False


def _has_text(index: Index, document: Document) -> bool:
    found = index.snapshot.live.get(document.id)
    return found is not None and found[1].hash == text_hash(document.text)
