"""Servers that are killed, lost and full: nothing that was acknowledged is lost or half there."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.postgres import upkeep
from s3_retriever.storage.postgres.check import problems
from s3_retriever.storage.postgres.connection import Database
from s3_retriever.storage.postgres.documents import PostgresDocuments
from s3_retriever.storage.postgres.faults import ForeignServerError, LostConnectionError
from s3_retriever.storage.postgres.schema import create
from s3_retriever.storage.postgres.url import StoreUrl
from tests.postgres import Server
from tests.storage.conftest import code, random_card
from tests.storage.postgres.worker import SHARED

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server() -> Iterator[Server]:
    """One that may be killed."""
    made = Server().start()
    yield made
    made.remove()


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Server, Server]]:
    """Two that may be killed."""
    second = Server().start()
    server.knows(second, "second")
    yield server, second
    second.remove()


def opened(server: Server, **parameters: str) -> PostgresDocuments:
    return PostgresDocuments(server.url(**parameters), random_card())


def spread(pair: tuple[Server, Server], **parameters: str) -> PostgresDocuments:
    """An index half of which lies on the second server."""
    first, second = pair
    url = StoreUrl.parse(first.url())
    create(Database(url), random_card(), None, {"second": second.url()})
    return opened(first, **parameters)


class Writing:
    """A thread that commits until it cannot; it knows what it was told."""

    def __init__(self, documents: PostgresDocuments, seed: int) -> None:
        self._documents = documents
        self._chance = random.Random(seed)
        self.acknowledged: dict[str, str] = {}
        self.doubtful: dict[str, str | None] = {}
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        for number in range(10_000):
            doc_id = f"{self._chance.randrange(12)}"
            text = f"Number {number}. " + "Roses and more. " * self._chance.randrange(120)
            self.doubtful = {doc_id: text}
            try:
                if number % 5 == 4:
                    self.doubtful = {doc_id: None}
                    self._documents.delete([doc_id])
                    self.acknowledged.pop(doc_id, None)
                else:
                    self._documents.commit([code(doc_id, text, seed=number)])
                    self.acknowledged[doc_id] = text
            except BaseException as e:
                self.error = e
                return

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def found_in(documents: PostgresDocuments) -> dict[str, str]:
    view = documents.view
    assert list(problems(view)) == []
    return {i: document.text for i in view.document_ids() if (document := view.document(i))}


def check_after(writing: Writing, documents: PostgresDocuments) -> None:
    """What was acknowledged is there; of the commit under way all is there, or nothing."""
    found, expected = found_in(documents), dict(writing.acknowledged)
    ((doc_id, text),) = writing.doubtful.items()
    done = {k: v for k, v in (expected | {doc_id: text}).items() if v is not None}
    assert found in (expected, done)


def test_killed_while_a_writer_commits(server: Server) -> None:
    chance = random.Random(0)
    opened(server)
    for seed in range(4):
        documents = opened(server)
        documents.delete(documents.ids())
        writing = Writing(documents, seed)
        time.sleep(0.2 + 0.4 * chance.random())
        server.kill()
        writing.join()
        assert isinstance(writing.error, LostConnectionError)
        server.start()
        check_after(writing, documents)  # the same object goes on
        check_after(writing, opened(server))


@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_killed_while_a_writer_commits(pair: tuple[Server, Server], killed: int) -> None:
    documents = spread(pair)
    for seed in range(3):
        documents.delete(documents.ids())
        writing = Writing(documents, seed)
        time.sleep(0.3 + 0.1 * seed)
        pair[killed].kill()
        writing.join()
        assert isinstance(writing.error, IndexStorageError)
        pair[killed].start()
        documents = opened(pair[0])
        check_after(writing, documents)
        upkeep.settle(documents.tables, 0.0, wait=True)  # what was left half on a server goes
        check_after(writing, documents)
        assert documents.view.state.excluded == ()


def test_killed_while_a_question_is_on_its_way(server: Server) -> None:
    documents = opened(server)
    documents.commit([code(f"{n}", "Roses need water " * 30, seed=n) for n in range(40)])
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            while True:
                view = documents.view
                hits = view.search.search_words(view.search.words("roses"), 9)
                view.tokens([hit.tokens for hit in hits])
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    server.kill()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 4
    for error in errors:
        assert isinstance(error, LostConnectionError)
        assert str(server.folder) in str(error)
    server.start()
    view = documents.view
    assert len(view.search.search_words(view.search.words("roses"), 9)) == 9


def test_connections_that_are_lost_and_come_back(server: Server) -> None:
    """A firewall, a restart at night: the next question does not notice."""
    documents = opened(server)
    documents.commit([code("a", "Red roses")])
    for _ in range(2):
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 's3-retriever'"
        )
        assert documents.ids() == ["a"]
    server.stop()
    with pytest.raises(LostConnectionError, match="does not answer"):
        documents.ids()
    server.start()
    assert documents.ids() == ["a"]


def test_a_server_of_partitions_is_down(
    pair: tuple[Server, Server], caplog: pytest.LogCaptureFixture
) -> None:
    documents = spread(pair)
    texts = [code(f"{n}", "Roses need water", seed=n) for n in range(20)]
    documents.commit(texts)
    here = {d.document.id for d in texts if documents.tables.part_of_id(d.document.id) % 2 == 0}
    assert 0 < len(here) < 20
    pair[1].kill()
    for ask in (
        lambda: documents.ids(),
        lambda: documents.view.search.search_words(["rose"], 30),
        lambda: documents.commit(texts),
    ):
        with pytest.raises(ForeignServerError, match="second"):
            ask()
    partial = opened(pair[0], partial="true")
    hits = partial.view.search.search_words(["rose"], 30)
    assert {hit.tokens.doc_id for hit in hits} == here
    assert "'second'" in caplog.text
    pair[1].start()
    assert len(documents.ids()) == 20
    assert len(partial.view.search.search_words(["rose"], 30)) == 20


def test_no_password_is_shown(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    url = server.url().replace("postgres@", "postgres:hush-hush@")
    documents = PostgresDocuments(url, random_card())
    server.kill()
    with pytest.raises(LostConnectionError) as caught:
        documents.ids()
    with pytest.raises(LostConnectionError) as again:
        PostgresDocuments(url, random_card())
    shown = [str(caught.value), repr(caught.value), str(again.value), repr(documents.url)]
    shown += [documents.location, caplog.text]
    assert not any("hush" in text for text in shown)
    assert caught.value.__cause__ is None


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A file system of 24 MB that the server may write to."""
    place = server.folder / "small"
    place.mkdir()
    options = f"size=24m,mode=0700,uid={server.folder.stat().st_uid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    server.stop()
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(server: Server, small_disk: Path) -> None:
    server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    documents = opened(server, options="-c default_tablespace=small")
    committed = 0
    with pytest.raises(IndexStorageError, match="no room"):
        for committed in range(400):
            some = [code(f"{committed}/{n}", "Roses need water " * 200, seed=n) for n in range(20)]
            documents.commit(some)
    assert committed > 1
    assert len(found_in(documents)) == 20 * committed
    more = ["mount", "-o", "remount,size=64m", str(small_disk)]
    subprocess.run(more, check=True)
    documents.commit([code("room again", "Roses need water")])
    assert len(found_in(documents)) == 20 * committed + 1


def run_together(server: Server, processes: int, seconds: float) -> None:
    opened(server)
    names = [f"worker-{n}" for n in range(processes)]
    command = [sys.executable, "-m", "tests.storage.postgres.worker", server.url()]
    card = random_card().model_dump_json()
    running = [
        subprocess.Popen(
            [*command, n, f"{seconds}", card],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for n in names
    ]
    reports = []
    for process in running:
        said, errors = process.communicate(timeout=seconds + 300)
        assert process.returncode == 0, errors.decode()[-2000:]
        reports.append(json.loads(said))
    documents = opened(server)
    found = found_in(documents)
    assert all(report["asked"] and report["written"] for report in reports)
    expected: dict[str, str] = {}
    for report in reports:
        expected |= report["mine"]
    assert {i: text for i, text in found.items() if i not in SHARED} == expected
    upkeep.compact(documents.tables, 0.0)
    assert found_in(documents) == found
    assert documents.describe()["batches"] <= documents.tables.layout.partitions


def test_processes_that_write_and_ask(server: Server) -> None:
    run_together(server, 4, 1.5)


@pytest.mark.slow
def test_twenty_processes_for_a_minute(server: Server) -> None:
    run_together(server, 20, 60.0)
