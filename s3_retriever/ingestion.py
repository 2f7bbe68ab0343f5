"""Reading documents into an index: only what is new or has another text is scanned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError
from s3_retriever.storage.index import Index
from s3_retriever.storage.segments import text_hash
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
    index: Index,
    scanner: Scanner,
    good: Mapping[str, Document],
    skipped: Mapping[str, str],
    *,
    segment_tokens: int,
    on_progress: Callable[[int, int], None],
) -> AddReport:
    """Put documents into the index; call inside :meth:`Index.writing`.

    Args:
        index: where to.
        scanner: of the index's model and profile.
        good: by id.
        skipped: reasons by id, for the report.
        segment_tokens: what is committed at once.
        on_progress: called with the tokens and the characters read since the last call.

    Raises:
        IndexStorageError: the folder cannot be written; what was committed stays.
    """
    live = index.snapshot.live
    unchanged, recoded, unread = [], [], []
    for document in good.values():
        segment, entry = live.get(document.id, (None, None))
        if segment is None or entry is None or entry.hash != text_hash(document.text):
            unread.append(document)
        elif entry.metadata == document.metadata:
            unchanged.append(document.id)
        else:  # only the metadata changed: the codes are still good
            old = segment.encoded(entry)
            recoded.append(replace(old, document=document))
    scanned = _commit_all(index, scanner, recoded, unread, segment_tokens, on_progress)
    changed = [d.id for d in (*(c.document for c in recoded), *unread)]
    return AddReport(
        added=tuple(i for i in changed if i not in live),
        updated=tuple(i for i in changed if i in live),
        unchanged=tuple(unchanged),
        skipped=skipped,
        tokens_scanned=scanned,
    )


def _commit_all(
    index: Index,
    scanner: Scanner,
    recoded: Sequence[EncodedDocument],
    unread: Sequence[Document],
    segment_tokens: int,
    on_progress: Callable[[int, int], None],
) -> int:
    """Scan what is unread and commit all of it; returns the tokens scanned."""
    waiting: list[EncodedDocument] = []
    scanned = n_waiting = 0

    def count(tokens: int, characters: int) -> None:
        nonlocal scanned
        scanned += tokens
        on_progress(tokens, characters)

    for coded in chain(recoded, scanner.scan(unread, on_progress=count)):
        waiting.append(coded)
        n_waiting += len(coded)
        if n_waiting >= segment_tokens:
            index.commit(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        index.commit(waiting)
    return scanned
