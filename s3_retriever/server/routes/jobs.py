"""``/v1/jobs``: what becomes of documents that were given."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query

from s3_retriever.server.asking import CallerHere, ResidentHere, Writer
from s3_retriever.server.failures import Failure
from s3_retriever.server.resident import Resident
from s3_retriever.server.schemas.documents import JobBody, JobList
from s3_retriever.server.tokens import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
_POLL_SECONDS = 0.05


@router.get("")
def jobs(resident: ResidentHere, caller: CallerHere) -> JobList:
    """Jobs of the caller's namespaces, the newest first."""
    return JobList(jobs=[job for job in resident.jobs.all() if _may_see(caller, job)])


@router.get("/{job_id}")
async def job(
    job_id: JobId,
    resident: ResidentHere,
    caller: CallerHere,
    wait: Annotated[
        float, Query(ge=0, le=60, description="Seconds to wait for the job's end.")
    ] = 0,
) -> JobBody:
    """A job as it stands: how much of its documents is read, and in the end what became of them."""
    until = time.monotonic() + wait
    while True:
        found = _visible(resident, caller, job_id)
        if found.ended or time.monotonic() >= until:
            return found
        await asyncio.sleep(_POLL_SECONDS)


@router.delete("/{job_id}")
def cancel(job_id: JobId, resident: ResidentHere, caller: Writer) -> JobBody:
    """Cancel a job; what it has committed stays. One that has ended is left as it is."""
    _visible(resident, caller, job_id)
    resident.jobs.cancel(job_id)
    return _visible(resident, caller, job_id)


def _visible(resident: Resident, caller: Caller, job_id: str) -> JobBody:
    found = resident.jobs.get(job_id)
    if found is None or not _may_see(caller, found):
        raise Failure(404, "there is no such job")
    return found


def _may_see(caller: Caller, job: JobBody) -> bool:
    return caller.namespaces is None or job.namespace in caller.namespaces
