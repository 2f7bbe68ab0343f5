"""Jobs survive their clients and their servers, and end when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import IndexLockedError
from s3_retriever.ingestion import AddReport
from s3_retriever.server.app import create_app
from s3_retriever.server.failures import OverloadedError
from s3_retriever.server.jobs import Jobs, OnError
from s3_retriever.server.spool import FolderSpool, Spool
from tests.server.conftest import eventually, finished, serving

TEXTS = [Document(f"d{n}", f"This is text number {n}. " * 40) for n in range(6)]


class Paused:
    """Reads one document after the other, and waits before each until it may."""

    def __init__(self, engine: Engine) -> None:
        self.may = threading.Semaphore(0)
        self.reading = threading.Event()
        self._engine = engine

    def __call__(
        self,
        namespace: str | None,
        documents: Sequence[Document],
        on_error: OnError,
        on_progress: Callable[[int, int], None],
    ) -> AddReport:
        reports = []
        for document in documents:
            self.reading.set()
            self.may.acquire()
            reports.append(self._engine.add([document], on_progress=on_progress))
        return AddReport(added=tuple(i for report in reports for i in report.added))


def test_what_a_server_did_not_finish_the_next_one_does(
    small: Callable[[Path | None], Engine], tmp_path: Path
) -> None:
    engine = small(tmp_path / "index")
    paused = Paused(engine)
    jobs = Jobs(paused, FolderSpool(tmp_path / "index" / "jobs"), most_waiting=4)
    first = jobs.submit(None, TEXTS[:3], "skip")
    second = jobs.submit(None, TEXTS[3:], "skip")
    paused.may.release()
    assert eventually(lambda: len(engine) == 1)
    closing = threading.Thread(target=jobs.close)
    closing.start()
    assert eventually(lambda: jobs.ending)
    paused.may.release()  # the next batch ends, then the job sees that it is told to stop
    closing.join(60)
    assert len(engine) == 1
    with serving(small(tmp_path / "index")) as running, running.client() as client:
        for job_id in (first.id, second.id):
            job = client.get(f"/v1/jobs/{job_id}", params={"wait": 60}).json()
            assert job["state"] == "done"
        assert len(running.engine) == 6
        report = client.get(f"/v1/jobs/{first.id}").json()["report"]
        assert report["unchanged"] == ["d0"]  # read by the first, and not again
        listed = client.get("/v1/jobs").json()["jobs"]
        assert [job["id"] for job in listed] == [second.id, first.id]
    left = {path.name for path in (tmp_path / "index" / "jobs").iterdir()}
    assert left - {"server.lock"} == {f"{first.id}.json", f"{second.id}.json"}


def test_jobs_are_cancelled_before_and_while_they_run(
    small: Callable[[Path | None], Engine],
) -> None:
    engine = small(None)
    paused = Paused(engine)
    jobs = Jobs(paused, Spool(), most_waiting=2)
    running, waiting = (jobs.submit(None, [text], "skip") for text in TEXTS[:2])
    with pytest.raises(OverloadedError):
        jobs.submit(None, TEXTS[2:3], "skip")
    assert paused.reading.wait(30)
    assert jobs.cancel(waiting.id).state == "cancelled"
    assert jobs.cancel(running.id).state == "running"
    paused.may.release()
    assert eventually(lambda: jobs.get(running.id).state == "cancelled")
    third = jobs.submit(None, TEXTS[2:3], "skip")
    paused.may.release()
    assert eventually(lambda: jobs.get(third.id).state == "done")
    assert jobs.cancel(third.id).state == "done"
    assert engine.ids() == ["d2"]
    jobs.close()


def test_a_damaged_record_is_left_alone_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (folder / f"{'a' * 32}.json").write_text("{}")
    (folder / f"{'b' * 32}.json").symlink_to(outside)
    (folder / f"{'c' * 32}.documents.json").write_text("[]")
    spool = FolderSpool(folder)
    assert spool.jobs() == []
    assert not (folder / f"{'c' * 32}.documents.json").exists()  # of no job
    assert outside.exists()
    spool.close()


def test_two_servers_do_not_share_an_index(
    small: Callable[[Path | None], Engine], tmp_path: Path
) -> None:
    locked = pytest.raises(IndexLockedError, match="another server")
    with serving(small(tmp_path / "index")), locked:
        create_app(small(tmp_path / "index"))
    with serving(small(tmp_path / "index")) as running, running.client() as client:
        assert client.get("/readyz").status_code == 200


def test_an_index_that_another_process_writes_is_waited_for(
    small: Callable[[Path | None], Engine], tmp_path: Path
) -> None:
    other = small(tmp_path / "index")
    other.add([Document("first", "The first text.")])
    with serving(small(tmp_path / "index")) as running, running.client() as client:
        with other.documents.writing():
            response = client.post("/v1/documents", json={"documents": ["A text."]})
            assert client.post("/v1/search", json={"question": "first?"}).status_code == 200
        assert finished(client, response)["state"] == "done"


@pytest.mark.parametrize("name", ["x", "../manifest", "0" * 31, "0" * 32])
def test_a_job_that_is_not_there(small: Callable[[Path | None], Engine], name: str) -> None:
    with serving(small(None)) as running, running.client() as client:
        assert client.get(f"/v1/jobs/{name}").status_code in (404, 422)
        assert client.delete(f"/v1/jobs/{name}").status_code in (404, 422)
