"""Where jobs are kept until they are done, so that a restart forgets none."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock
from pydantic import ValidationError

from s3_retriever.errors import IndexLockedError
from s3_retriever.quoting import brief
from s3_retriever.server.schemas.documents import DocumentBody, JobBody
from s3_retriever.storage.files import write_durably
from s3_retriever.storage.namespaces import server_lock
from s3_retriever.storage.places import check_folder
from s3_retriever.types import Document

__all__ = ["FolderSpool", "JobOrder", "Spool"]

logger = logging.getLogger(__name__)

_RECORD = re.compile(r"([0-9a-f]{32})\.json")
_DOCUMENTS = re.compile(r"([0-9a-f]{32})\.documents\.json")


@dataclass(frozen=True)
class JobOrder:
    """What a job has to do."""

    documents: list[Document]
    on_error: Literal["skip", "raise"] = "skip"


class Spool:
    """Keeps jobs in memory.

    Example:
        >>> Spool().jobs()
        []
    """

    def __init__(self) -> None:
        """Start empty."""
        self._orders: dict[str, JobOrder] = {}

    def jobs(self) -> list[JobBody]:
        """Jobs of former processes, the oldest first."""
        return []

    def put(self, job: JobBody, order: JobOrder) -> None:
        """Keep a new one."""
        self._orders[job.id] = order

    def order(self, job_id: str) -> JobOrder:
        """What a job has to do."""
        return self._orders[job_id]

    def end(self, job: JobBody) -> None:
        """Keep how a job ended; its documents are not needed any more."""
        self._orders.pop(job.id, None)

    def forget(self, job_id: str) -> None:
        """Keep nothing of a job that has ended."""

    def close(self) -> None:
        """Another process may take over."""


class FolderSpool(Spool):
    """Keeps jobs in a folder: a small file a job, and its documents until they are read."""

    def __init__(self, folder: Path) -> None:
        """Take over what is there.

        Args:
            folder: made if need be; one process has it at a time.

        Raises:
            IndexLockedError: another server has it.
            IndexStorageError: it is a link or a file.
        """
        super().__init__()
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = server_lock(folder)
        try:
            self._lock.acquire()
        except filelock.Timeout as e:
            raise IndexLockedError(f"another server has the index of {brief(folder.parent)}") from e

    def jobs(self) -> list[JobBody]:
        """See :class:`Spool`; files of no job are removed."""
        found: dict[str, JobBody] = {}
        for path in self._folder.iterdir():
            match = _RECORD.fullmatch(path.name)
            if match is None or path.is_symlink():
                continue
            try:
                job = JobBody.model_validate_json(path.read_bytes())
                if job.id == match[1] and (job.ended or self._documents(job.id).exists()):
                    found[job.id] = job
            except (OSError, ValidationError) as e:
                logger.warning("job %s cannot be read: %s", match[1], type(e).__name__)
        for path in self._folder.iterdir():
            match = _DOCUMENTS.fullmatch(path.name)
            if match is not None and (match[1] not in found or found[match[1]].ended):
                path.unlink()
        return sorted(found.values(), key=lambda job: job.created)

    def put(self, job: JobBody, order: JobOrder) -> None:
        """See :class:`Spool`; when this returns the job survives a power cut."""
        written = {
            "on_error": order.on_error,
            "documents": [
                {"id": d.id, "text": d.text, "metadata": d.metadata} for d in order.documents
            ],
        }
        write_durably(self._documents(job.id), json.dumps(written).encode())
        write_durably(self._record(job.id), job.model_dump_json().encode())

    def order(self, job_id: str) -> JobOrder:
        """See :class:`Spool`."""
        written = json.loads(self._documents(job_id).read_bytes())
        documents = [DocumentBody.model_construct(**d).document() for d in written["documents"]]
        return JobOrder(documents, written["on_error"])

    def end(self, job: JobBody) -> None:
        """See :class:`Spool`."""
        write_durably(self._record(job.id), job.model_dump_json().encode())
        self._documents(job.id).unlink(missing_ok=True)

    def forget(self, job_id: str) -> None:
        """See :class:`Spool`."""
        self._record(job_id).unlink(missing_ok=True)

    def close(self) -> None:
        """See :class:`Spool`."""
        self._lock.release()

    def _record(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"

    def _documents(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.documents.json"
