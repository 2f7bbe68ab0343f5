"""Reading documents into an index: only what is new or has another text is scanned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from s3_retriever.arguments import CALLBACK, DOCUMENTS, checked
from s3_retriever.encoding.runners import ScanPlan, ScanRunner
from s3_retriever.encoding.scanner import InterruptedScanError
from s3_retriever.errors import InputError
from s3_retriever.giving import Givable
from s3_retriever.quoting import brief
from s3_retriever.storage.base import DocumentStore
from s3_retriever.types import AddReport, Document, EncodedDocument, FailedDocument
from s3_retriever.validation import usable

__all__ = ["AddReport", "Ingestion"]

logger = logging.getLogger(__name__)


class Ingestion:
    """Reads documents into one index; an engine has this method."""

    def __init__(
        self, documents: DocumentStore, runner: ScanRunner, plan: Callable[[], ScanPlan]
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

    @checked(documents=DOCUMENTS, on_progress=CALLBACK)
    def add(
        self,
        documents: Givable | Iterable[Givable],
        *,
        on_error: Literal["skip", "raise"] = "skip",
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
        runner: ScanRunner | None = None,
    ) -> AddReport:
        """Read documents and put them into the index; one whose id is there is replaced.

        What is added becomes visible and durable every ``scan_settings.segment_tokens`` tokens
        and at the end; only then is the writer's lock held, so nobody waits for the reading, and
        of two that write the same id the last to commit wins. An interrupt (Ctrl-C) commits what
        was read until then. A text that is in the index under
        the same id is not read again. A blank text (nothing, white space, characters of no width)
        is left out and reported, alone or among others.

        Args:
            documents: one or several, each a Document, a string (whose id is made from its
                contents), a dict with ``text`` and, if need be, ``id`` and ``metadata``, or a
                document of LangChain or LlamaIndex, kept as their own components keep it.
            on_error: what a document does that cannot be kept (see
                :func:`~s3_retriever.validation.stored`): ``skip`` leaves it out and reports it,
                ``raise`` leaves everything out. One that cannot be read, which shows later, is
                treated alike, but what was committed before stays.
            on_progress: called with the tokens and the characters read since the last call.
            runner: reads the documents elsewhere; by default the engine's own model does.

        Raises:
            InputError: with ``raise``, the first bad document; with ``skip``, if all are bad and
                not all are blank, or none could be read.
            ProfileError: a ``runner`` cannot use what the engine was made from.
            ModelError: a ``runner`` cannot find the weights, or finds others.
            RunnerError: a ``runner``'s processes cannot be reached or started.
            IndexLockedError: another process is writing, and does not end within ten seconds.
            IndexStorageError: the folder cannot be written; what was committed stays.
        """
        sorted_out = usable(documents, on_error)
        good = sorted_out.good
        plan, reading = self._plan(), runner or self._runner
        adding = _Adding(self._documents, plan.settings.segment_tokens, on_error)
        self._documents.check_writable()
        known = self._documents.known(good.values())
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
        if adding.failed and not (adding.added or adding.updated or adding.unchanged):
            doc_id, reason = next(iter(adding.failed.items()))
            raise InputError(f"document {brief(doc_id)}: {reason}")
        order = {doc_id: n for n, doc_id in enumerate(good)}
        return AddReport(
            added=tuple(sorted(adding.added, key=order.__getitem__)),
            updated=tuple(sorted(adding.updated, key=order.__getitem__)),
            unchanged=tuple(adding.unchanged),
            skipped={**sorted_out.skipped, **adding.failed},
            tokens_scanned=scanned,
            ids=tuple(None if i in adding.failed else i for i in sorted_out.ids),
        )


class _Adding:
    """The commits of one ``add``, and what became of its documents."""

    def __init__(
        self, documents: DocumentStore, segment_tokens: int, on_error: Literal["skip", "raise"]
    ) -> None:
        self._documents = documents
        self._segment_tokens = segment_tokens
        self._on_error = on_error
        self.failed: dict[str, str] = {}
        """Reasons by id."""
        self.added: dict[str, None] = {}
        self.updated: dict[str, None] = {}
        self.unchanged: list[str] = []

    def commit_all(
        self, read: Iterable[EncodedDocument | FailedDocument], known: Sequence[Document]
    ) -> list[Document]:
        """Commit what is read as it comes, and new metadata of what is known.

        Returns:
            Those of ``known`` that turn out not to be known any more.
        """
        waiting: list[EncodedDocument] = []
        n_waiting = 0
        missed: list[Document] | None = None
        try:
            for item in read:
                if isinstance(item, FailedDocument):
                    self._fail(item)
                    continue
                waiting.append(item)
                n_waiting += len(item)
                if n_waiting >= self._segment_tokens:
                    missed = self._commit(waiting, known if missed is None else ()) + (missed or [])
                    waiting, n_waiting = [], 0
        except KeyboardInterrupt as e:  # reading may have taken minutes: it is not done twice
            if isinstance(e, InterruptedScanError):
                waiting += e.read
            if waiting:
                self._commit(waiting, ())
            raise
        if waiting or (known and missed is None):
            missed = self._commit(waiting, known if missed is None else ()) + (missed or [])
        return missed or []

    def _fail(self, document: FailedDocument) -> None:
        if self._on_error == "raise":
            raise InputError(f"document {brief(document.doc_id)}: {document.reason}")
        logger.warning("document %s is left out: %s", brief(document.doc_id), document.reason)
        self.failed[document.doc_id] = document.reason

    def _commit(
        self, waiting: Sequence[EncodedDocument], known: Sequence[Document]
    ) -> list[Document]:
        done = self._documents.commit(waiting, known)
        self.unchanged += done.unchanged
        self.added.update(dict.fromkeys(done.added))
        for doc_id in done.updated:
            into = self.updated if doc_id not in self.added else self.added
            into[doc_id] = None
        return list(done.missed)
