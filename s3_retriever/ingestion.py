"""Reading documents into an index: only what is new or has another text is scanned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from s3_retriever.errors import InputError
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.segment_format import text_hash
from s3_retriever.storage.segments import relabelled
from s3_retriever.types import Document, EncodedDocument
from s3_retriever.validation import sort_out

__all__ = ["AddReport", "add_documents", "checked_documents"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AddReport:
    """What became of the documents of one ``add``."""

    added: tuple[str, ...] = ()
    """Ids that were new."""
    updated: tuple[str, ...] = ()
    """Ids whose text or metadata changed."""
    unchanged: tuple[str, ...] = ()
    """Ids whose text and metadata were in the index already; nothing was read."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Reason by id (or by position, for a document without a usable id)."""
    tokens_scanned: int = 0
    """Tokens the model read."""


def checked_documents(
    documents: Iterable[Document | str], on_error: Literal["skip", "raise"]
) -> tuple[dict[str, Document], dict[str, str]]:
    """The good documents by id, and the reasons against the others.

    Raises:
        InputError: with ``raise``, the first bad document; with ``skip``, if all are bad.
    """
    good, skipped = sort_out(documents)
    if skipped and (on_error == "raise" or not good):
        where, reason = next(iter(skipped.items()))
        raise InputError(f"document {where}: {reason}")
    if not good and not skipped:
        raise InputError("there are no documents to add")
    for where, reason in skipped.items():
        logger.warning("document %s is left out: %s", where, reason)
    return good, skipped


def add_documents(
    documents: Documents,
    good: Mapping[str, Document],
    skipped: Mapping[str, str],
    read: Callable[[Iterable[Document], Callable[[int, int], None]], Iterator[EncodedDocument]],
    *,
    segment_tokens: int,
    on_progress: Callable[[int, int], None],
) -> AddReport:
    """Put documents into an index: they are read without its lock, which commits take.

    What others do to the same ids meanwhile is not lost sight of: the last to commit wins.

    Args:
        documents: where to.
        good: by id.
        skipped: reasons by id, for the report.
        read: turns documents into codes, and calls back with what it read.
        segment_tokens: what is committed at once.
        on_progress: called with the tokens and the characters read since the last call.

    Raises:
        IndexLockedError: another process writes, and goes on writing.
        IndexStorageError: the folder cannot be written; what was committed stays.
    """
    adding = _Adding(documents, segment_tokens)
    with documents.writing():  # who cannot write is told before anything is read
        known = {d.id for d in good.values() if _same_text(documents.index, d)}
    scanned = 0

    def count(tokens: int, characters: int) -> None:
        nonlocal scanned
        scanned += tokens
        on_progress(tokens, characters)

    unread = [d for d in good.values() if d.id not in known]
    missed = adding.commit_all(read(unread, count), [good[i] for i in good if i in known])
    if missed:  # deleted or replaced by somebody while others were read
        adding.commit_all(read(missed, count), [])
    order = {doc_id: n for n, doc_id in enumerate(good)}
    return AddReport(
        added=tuple(sorted(adding.added, key=order.__getitem__)),
        updated=tuple(sorted(adding.updated, key=order.__getitem__)),
        unchanged=tuple(adding.unchanged),
        skipped=skipped,
        tokens_scanned=scanned,
    )


class _Adding:
    """The commits of one ``add``, and what became of its documents."""

    def __init__(self, documents: Documents, segment_tokens: int) -> None:
        self._documents = documents
        self._segment_tokens = segment_tokens
        self.added: dict[str, None] = {}
        self.updated: dict[str, None] = {}
        self.unchanged: list[str] = []

    def commit_all(
        self, encoded: Iterable[EncodedDocument], known: Sequence[Document]
    ) -> list[Document]:
        """Commit what is read as it comes, and new metadata of what is known.

        Returns:
            Those of ``known`` that turn out not to be known any more.
        """
        waiting: list[EncodedDocument] = []
        n_waiting = 0
        missed: list[Document] | None = None
        for item in encoded:
            waiting.append(item)
            n_waiting += len(item)
            if n_waiting >= self._segment_tokens:
                missed = self._commit(waiting, known if missed is None else ()) + (missed or [])
                waiting, n_waiting = [], 0
        if waiting or (known and missed is None):
            missed = self._commit(waiting, known if missed is None else ()) + (missed or [])
        return missed or []

    def _commit(
        self, waiting: Sequence[EncodedDocument], known: Sequence[Document]
    ) -> list[Document]:
        missed, recoded = [], []
        with self._documents.writing():
            index = self._documents.index
            live = index.snapshot.live
            for document in known:
                if not _same_text(index, document):
                    missed.append(document)
                    continue
                segment, entry = live[document.id]
                if entry.metadata == document.metadata:
                    self.unchanged.append(document.id)
                else:  # only the metadata changed: the codes are still good
                    recoded.append(relabelled(segment.encoded(entry), document))
            there = {i for i in (c.document.id for c in (*recoded, *waiting)) if i in live}
            if recoded or waiting:
                index.commit([*recoded, *waiting])
        for item in (*recoded, *waiting):
            doc_id = item.document.id
            into = self.updated if doc_id in there and doc_id not in self.added else self.added
            into[doc_id] = None
        return missed


def _same_text(index: Index, document: Document) -> bool:
    found = index.snapshot.live.get(document.id)
    return found is not None and found[1].hash == text_hash(document.text)
