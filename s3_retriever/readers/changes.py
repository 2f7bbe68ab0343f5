"""What an index has to change so that it holds files as they are on the disk now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s3_retriever.quoting import brief, quoted
from s3_retriever.readers.files import FilesRead, absolute_path, storable_path
from s3_retriever.types import Document, Metadata

__all__ = ["FileChanges", "changes_of"]


@dataclass(frozen=True)
class FileChanges:
    """To be done in this order: rename, add, remove."""

    renamed: Mapping[str, str] = field(default_factory=dict, hash=False)
    """From the id that a file's document has to the one that it is to have."""
    documents: tuple[Document, ...] = ()
    """To be added; one whose id is there replaces the same file's."""
    removed: tuple[str, ...] = ()
    """Ids of documents of files that are gone, or that stand under another id or path as well; none
    unless pruning was asked for."""
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Why a file is not added, by its path."""
    superfluous: tuple[str, ...] = ()
    """What would be in ``removed`` if pruning had been asked for: it stays."""


def changes_of(
    files: FilesRead,
    stored: Mapping[str, Metadata],
    paths: Iterable[str | Path],
    *,
    prune: bool = False,
) -> FileChanges:
    """Compare files with what an index holds.

    A document came from a file if its metadata say so (``path``) and its id is that path or the
    end of it, as all releases have made them. One that stands under another id than it has now (of
    an older release, or with another ``root``) is renamed; nothing of another file, and nothing
    that came from no file, is replaced; and nothing at all is removed unless that is asked for.

    Args:
        files: as read.
        stored: metadata of the index's documents, by id.
        paths: what was asked to be read.
        prune: remove documents of files below ``paths`` that the disk has no more, and those of
            files that are read and stand under another id or path as well.
    """
    ids_of: dict[str, list[str]] = {}
    for doc_id, metadata in stored.items():
        if (path := _file_of(doc_id, metadata)) is not None:
            ids_of.setdefault(path, []).append(doc_id)
    paths_read = {str(document.metadata["path"]) for document in files.documents}
    wanted = {str(d.metadata["path"]): d.id for d in files.documents}
    leaving = {i for path in paths_read for i in ids_of.get(path, ()) if i != wanted[path]}

    renamed: dict[str, str] = {}
    documents: list[Document] = []
    superfluous: list[str] = []
    refused: dict[str, str] = {}
    for document in files.documents:
        path = str(document.metadata["path"])
        if reason := _claimed(document, stored, leaving):
            refused[path] = reason
            continue
        documents.append(document)
        others = [i for i in ids_of.get(path, ()) if i != document.id]
        if others and document.id not in stored:
            renamed[others.pop(0)] = document.id
        superfluous += others
    for path, other in files.twins.items():
        if other in paths_read:
            superfluous += ids_of.get(path, ())
    tops = [storable_path(absolute_path(path)) for path in paths]
    there = paths_read | set(files.skipped)
    for path, ids in ids_of.items():
        inside = any(path == top or path.startswith(top.rstrip(os.sep) + os.sep) for top in tops)
        if inside and (path not in there or path in tops) and _is_gone(path):
            superfluous += ids
    added = {document.id for document in documents}
    left = tuple(i for i in dict.fromkeys(superfluous) if i not in added)
    gone, staying = (left, ()) if prune else ((), left)
    return FileChanges(renamed, tuple(documents), gone, refused, staying)


def _file_of(doc_id: str, metadata: Metadata) -> str | None:
    """The file that a document came from, if it came from one."""
    path = metadata.get("path")
    if not isinstance(path, str):
        return None
    posix = path.replace(os.sep, "/")
    return path if posix == doc_id or posix.endswith("/" + doc_id) else None


def _claimed(document: Document, stored: Mapping[str, Metadata], leaving: set[str]) -> str | None:
    """Why a document may not have its id: it belongs to something else that is still there."""
    path = str(document.metadata["path"])
    if document.id not in stored or document.id in leaving:
        return None
    if document.id == path.replace(os.sep, "/"):  # whoever wrote it, the id says whose it is
        return None
    holder = _file_of(document.id, stored[document.id])
    if holder == path or (holder is not None and _is_gone(holder)):
        return None
    whose = f"the one of {brief(holder)}" if holder else "one that came from no file"
    return f"its id {quoted(document.id)} is that of another document in the index, {whose}"


def _is_gone(path: str) -> bool:
    """Whether there is no such file; one that cannot be looked at may be there."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
