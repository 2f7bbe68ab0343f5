"""Reading documents into an index: only what is new or has another text is scanned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from s3_retriever.encoding.runners import ScanPlan, ScanRunner
from s3_retriever.errors import InputError
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.segment_format import text_hash
from s3_retriever.storage.segments import relabelled
from s3_retriever.types import Document, EncodedDocument
from s3_retriever.validation import sort_out

__all__ = ["AddReport", "Ingestion"]

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


class Ingestion:
    """Reads documents into one index; an engine has this method."""

    def __init__(
        self, documents: Documents, runner: ScanRunner, plan: Callable[[], ScanPlan]
    ) -> None:
        """Take where documents go and what reads them.

        Args:
            documents: where to.
            runner: reads, where no other one is given.
            plan: what a runner elsewhere needs to read as this process does.
        """
        self._documents = documents
        self._runner = runner
        self._plan = plan

    def add(
        self,
        documents: Iterable[Document | str],
        *,
        on_error: Literal["skip", "raise"] = "skip",
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
        runner: ScanRunner | None = None,
    ) -> AddReport:
        """Read documents and put them into the index; one whose id is there is replaced.

        What is added becomes visible and durable every ``scan_settings.segment_tokens`` tokens
        and at the end; only then is the writer's lock held, so nobody waits for the reading, and
        of two that write the same id the last to commit wins. A text that is in the index under
        the same id is not read again.

        Args:
            documents: a plain string gets an id made from its contents.
            on_error: what a bad document does: ``skip`` leaves it out and reports it, ``raise``
                leaves everything out.
            on_progress: called with the tokens and the characters read since the last call.
            runner: reads the documents elsewhere; by default the engine's own model does.

        Raises:
            InputError: with ``raise``, the first bad document; with ``skip``, if all are bad.
            IndexLockedError: another process is writing, and does not end within ten seconds.
            IndexStorageError: the folder cannot be written; what was committed stays.
        """
        good, skipped = _checked(documents, on_error)
        plan, reading = self._plan(), runner or self._runner
        adding = _Adding(self._documents, plan.settings.segment_tokens)
        with self._documents.writing():  # who cannot write is told before anything is read
            known = {d.id for d in good.values() if _same_text(self._documents.index, d)}
        scanned = 0

        def count(tokens: int, characters: int) -> None:
            nonlocal scanned
            scanned += tokens
            on_progress(tokens, characters)

        unread = [d for d in good.values() if d.id not in known]
        read = reading.run(plan, unread, on_progress=count)
        missed = adding.commit_all(read, [good[i] for i in good if i in known])
        if missed:  # deleted or replaced by somebody while others were read
            adding.commit_all(reading.run(plan, missed, on_progress=count), [])
        order = {doc_id: n for n, doc_id in enumerate(good)}
        return AddReport(
            added=tuple(sorted(adding.added, key=order.__getitem__)),
            updated=tuple(sorted(adding.updated, key=order.__getitem__)),
            unchanged=tuple(adding.unchanged),
            skipped=skipped,
            tokens_scanned=scanned,
        )


def _checked(
    documents: Iterable[Document | str], on_error: Literal["skip", "raise"]
) -> tuple[dict[str, Document], dict[str, str]]:
    """The good documents by id, and the reasons against the others."""
    good, skipped = sort_out(documents)
    if skipped and (on_error == "raise" or not good):
        where, reason = next(iter(skipped.items()))
        raise InputError(f"document {where}: {reason}")
    if not good and not skipped:
        raise InputError("there are no documents to add")
    for where, reason in skipped.items():
        logger.warning("document %s is left out: %s", where, reason)
    return good, skipped


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
