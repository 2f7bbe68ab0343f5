"""Documents being read in the background, one job after the other, whoever is still there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Literal, Protocol
from uuid import uuid4

from s3_retriever.errors import EndogenousError, IndexLockedError, InputError
from s3_retriever.ingestion import AddReport
from s3_retriever.server.failures import OverloadedError, log_bug
from s3_retriever.server.schemas.documents import AddReportBody, JobBody
from s3_retriever.server.spool import JobOrder, Spool
from s3_retriever.types import Document

__all__ = ["Jobs", "ReadDocuments"]

OnError = Literal["skip", "raise"]
_KEPT = 1000
"""Jobs that have ended, of which somebody may still ask."""
_LOCKED_TRIES = 30
"""Another process may write for long (compaction): each try waits ten seconds."""


class ReadDocuments(Protocol):
    """Puts documents into an index."""

    def __call__(
        self,
        namespace: str | None,
        documents: Sequence[Document],
        on_error: OnError,
        on_progress: Callable[[int, int], None],
    ) -> AddReport:
        """As ``Engine.add``; what ``on_progress`` raises ends it."""


class _StoppedError(Exception):
    """Somebody does not want a job to go on."""


class Jobs:
    """Reads the documents of jobs in a thread of its own; what is not done is done after a restart.

    A job that is done again finds what it had committed unchanged, so nothing is read twice.
    """

    def __init__(self, read: ReadDocuments, spool: Spool, *, most_waiting: int) -> None:
        """Take up what the last process left.

        Args:
            read: puts documents into an index.
            spool: keeps jobs.
            most_waiting: jobs that wait; there is no place for more.
        """
        self._read = read
        self._spool = spool
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._jobs: dict[str, JobBody] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._unwanted: set[str] = set()
        self._ending = threading.Event()
        for job in spool.jobs():
            self._jobs[job.id] = job
            if not job.ended:
                self._jobs[job.id] = job.model_copy(update={"state": "queued"})
                self._queue.put(job.id)
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Jobs that wait or run."""
        with self._lock:
            return sum(not job.ended for job in self._jobs.values())

    @property
    def ending(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._ending.is_set()

    def submit(
        self, namespace: str | None, documents: Sequence[Document], on_error: OnError
    ) -> JobBody:
        """Have documents read.

        Args:
            namespace: where to; ``None`` is the index itself.
            documents: at least one.
            on_error: as of ``Engine.add``.

        Raises:
            OverloadedError: too many jobs wait, or the server is ending.
        """
        if self._ending.is_set():
            raise OverloadedError("the server is ending; ask again", 5)
        if self.n_waiting >= self._most_waiting:
            raise OverloadedError("too many jobs are waiting; ask again", 10)
        job = JobBody(
            id=uuid4().hex,
            state="queued",
            namespace=namespace,
            created=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            documents=len(documents),
            characters=sum(len(document.text) for document in documents),
            characters_read=0,
            tokens_read=0,
        )
        self._spool.put(job, JobOrder(documents=list(documents), on_error=on_error))
        with self._lock:
            self._jobs[job.id] = job
        self._queue.put(job.id)
        return job

    def get(self, job_id: str) -> JobBody | None:
        """A job as it stands."""
        with self._lock:
            return self._jobs.get(job_id)

    def all(self) -> list[JobBody]:
        """Jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def cancel(self, job_id: str) -> JobBody | None:
        """End a job: at once if it waits, else after the next batch; what is committed stays."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.ended:
                return job
            self._unwanted.add(job_id)
        if job.state == "queued":
            return self._end(job_id, state="cancelled")
        return self.get(job_id)

    def close(self) -> None:
        """Stop after the next batch; the next process goes on."""
        self._ending.set()
        self._queue.put(None)
        self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        while (job_id := self._queue.get()) is not None and not self._ending.is_set():
            with self._lock:
                job = self._jobs[job_id]
                if job.ended:
                    continue
                self._jobs[job_id] = job.model_copy(update={"state": "running"})
            try:
                self._read_all(job)
            except Exception as e:  # the next job has nothing to do with it
                log_bug(e)
                self._end(job_id, state="failed", error="the server made a mistake; see its log")

    def _read_all(self, job: JobBody) -> None:
        order = self._spool.order(job.id)
        for attempt in range(_LOCKED_TRIES):
            self._update(job.id, characters_read=0, tokens_read=0)
            try:
                report = self._read(
                    job.namespace,
                    order.documents,
                    order.on_error,
                    lambda tokens, characters: self._progress(job.id, tokens, characters),
                )
            except _StoppedError:
                if job.id in self._unwanted:
                    self._end(job.id, state="cancelled")
                return
            except IndexLockedError:
                if self._ending.is_set():
                    return
                if attempt + 1 == _LOCKED_TRIES:
                    self._end(job.id, state="failed", error="another process writes the index")
                    return
            except InputError as e:
                self._end(job.id, state="failed", error=str(e))
                return
            except EndogenousError as e:
                log_bug(e)
                self._end(job.id, state="failed", error="the index cannot be written; see the log")
                return
            else:
                found = AddReportBody.model_validate(asdict(report))
                self._end(job.id, state="done", report=found)
                return

    def _progress(self, job_id: str, tokens: int, characters: int) -> None:
        with self._lock:
            job = self._jobs[job_id]
            counts = {
                "tokens_read": job.tokens_read + tokens,
                "characters_read": job.characters_read + characters,
            }
            self._jobs[job_id] = job.model_copy(update=counts)
        if self._ending.is_set() or job_id in self._unwanted:
            raise _StoppedError

    def _update(self, job_id: str, **changes: object) -> JobBody:
        with self._lock:
            job = self._jobs[job_id] = self._jobs[job_id].model_copy(update=changes)
        return job

    def _end(self, job_id: str, **changes: object) -> JobBody:
        with self._lock:
            if self._jobs[job_id].ended:  # it was cancelled in the same moment
                return self._jobs[job_id]
            job = self._jobs[job_id] = self._jobs[job_id].model_copy(update=changes)
            self._unwanted.discard(job_id)
            ended = [known for known, other in self._jobs.items() if other.ended]
            forgotten = ended[:-_KEPT]
            for known in forgotten:
                del self._jobs[known]
        self._spool.end(job)
        for known in forgotten:
            self._spool.forget(known)
        return job
