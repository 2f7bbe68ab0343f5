"""The Ray runner, on a cluster that is started here; its processes and nodes are killed."""

from __future__ import annotations

import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from s3_retriever import Engine
from s3_retriever.encoding.chunks import rounds
from s3_retriever.encoding.ray_cluster import capacity
from s3_retriever.encoding.ray_runner import RayRunner
from s3_retriever.encoding.ray_workers import Workers
from s3_retriever.encoding.runners import LocalRunner, ScanPlan
from s3_retriever.errors import InputError, ProfileError, RunnerError
from s3_retriever.testing.runners import ScanRunnerContract, assert_equal
from s3_retriever.types import Document, FailedDocument

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A node of one processor, which this process is connected to; tests add others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # short, since a socket's path has 107 letters at most
        config = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "worker_niceness": 0,  # else other tests' processes come first
        }
        head = {"include_dashboard": False, "_system_config": config}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, **head})
        ray.init(made.address, log_to_driver=False, logging_level="error")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def node(cluster: Any) -> Iterator[Any]:
    """A second node of one processor."""
    added = cluster.add_node(**NODE)
    yield added
    if added.remaining_processes_alive():
        cluster.remove_node(added)


def raylet(node: Any) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def reading(node: Any) -> list[psutil.Process]:
    """The node's workers that have loaded the model."""
    found = []
    for process in raylet(node).children():
        with suppress(psutil.Error):  # it has just ended
            title = " ".join(process.cmdline())
            if "ray::Reader" in title and "__init__" not in title and "load" not in title:
                found.append(process)
    return found


def until(condition: Any) -> Any:
    for _ in range(1200):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it has not come to pass in a minute")


@pytest.mark.usefixtures("cluster", "one_thread")
class TestRayRunner(ScanRunnerContract):
    @pytest.fixture
    def plan(self, saved: ScanPlan) -> ScanPlan:
        return saved

    @pytest.fixture
    def runner(self) -> RayRunner:
        return RayRunner(workers=1)


# Losses


def many(plan: ScanPlan, n_rounds: int) -> list[Document]:
    """Documents of so many rounds."""
    documents = ScanRunnerContract.documents(60 * n_rounds)
    some = itertools.islice(rounds(documents, plan.settings.batch_tokens), n_rounds)
    return [document for together in some for document in together]


def test_a_process_that_is_killed_costs_time_only(node: Any, saved: ScanPlan) -> None:
    documents = many(saved, 30)
    runner = RayRunner(workers=2)
    running = runner.run(saved, documents)
    read = [next(running)]
    until(lambda: reading(node))[0].kill()
    read += list(running)
    assert_equal(read, LocalRunner().run(saved, documents))


def test_so_does_a_machine(node: Any, saved: ScanPlan) -> None:
    """It is asked for rounds, and has some, when all of its processes are killed at once."""
    documents = many(saved, 40)
    running = RayRunner(workers=2).run(saved, documents)
    read = list(itertools.islice(running, 1))
    until(lambda: reading(node))
    read += itertools.islice(running, len(documents) // 2)
    kill(node)
    read += running
    assert_equal(read, LocalRunner().run(saved, documents))


def kill(node: Any) -> None:
    """``kill -9`` of all that runs on a node."""
    for process in [*raylet(node).children(recursive=True), raylet(node)]:
        process.kill()


class Killer(threading.Thread):
    """Kills processes of a node that read, as they begin to."""

    def __init__(self, node: Any, times: int) -> None:
        super().__init__()
        self._node = node
        self.left = times

    def run(self) -> None:
        while self.left:
            for process in raylet(self._node).children():
                with suppress(psutil.Error):  # it has just ended
                    if "ray::Reader.read" in " ".join(process.cmdline()):
                        process.kill()
                        process.wait()
                        self.left -= 1
            time.sleep(0.01)


@pytest.fixture
def head(cluster: Any) -> Any:
    return cluster.head_node


def long(plan: ScanPlan, doc_id: str) -> Document:
    """A document whose reading takes a second."""
    return Document(doc_id, ScanRunnerContract.documents(1)[0].text * 400)


@pytest.mark.slow  # six workers load the model
def test_a_document_that_ends_its_reader_is_left_out(head: Any, saved: ScanPlan) -> None:
    killer = Killer(head, times=3)
    killer.start()
    documents = [long(saved, "deadly"), *ScanRunnerContract.documents(2)]
    failed, *others = RayRunner(workers=1).run(saved, documents)
    killer.join()
    assert failed == FailedDocument(
        "deadly", "3 workers were lost, one after the other, while they read it"
    )
    assert_equal(others, LocalRunner().run(saved, documents[1:]))


@pytest.mark.slow
def test_documents_of_a_round_that_ends_its_readers_are_read_alone(
    head: Any, saved: ScanPlan
) -> None:
    killer = Killer(head, times=3)
    killer.start()
    short = Document("short", "Short.")
    plan = replace(saved, settings=saved.settings.model_copy(update={"batch_tokens": 2000}))
    documents = [short, long(saved, "long")]
    read = list(RayRunner(workers=1).run(plan, documents))
    killer.join()
    alone = [one for document in documents for one in LocalRunner().run(plan, [document])]
    assert_equal(read, alone)


# Limits


def test_a_bounded_number_is_taken_ahead(head: Any, saved: ScanPlan) -> None:
    taken = 0

    def documents() -> Iterator[Document]:
        nonlocal taken
        for document in many(saved, 30):
            taken += 1
            yield document

    largest = max(map(len, rounds(many(saved, 30), saved.settings.batch_tokens)))
    ahead = []
    for n, _ in enumerate(RayRunner(workers=1).run(saved, documents())):
        ahead.append(taken - n)
    assert max(ahead) <= 5 * largest  # four that are taken, and the one that is given back


def test_all_ends_with_the_iterator(head: Any, saved: ScanPlan) -> None:
    running = RayRunner().run(saved, many(saved, 30))
    next(running)
    assert reading(head)
    running.close()
    until(lambda: not reading(head))
    assert ray.is_initialized()  # as it was before


def test_what_cannot_be_loaded_there_is_an_error_here(
    cluster: Any, saved: ScanPlan, tmp_path: Path
) -> None:
    with pytest.raises(ProfileError, match="no profile"):
        list(RayRunner().run(replace(saved, profile=str(tmp_path)), [Document("a", "Text.")]))


def test_an_engine_adds_with_it(cluster: Any, saved: ScanPlan, tmp_path: Path) -> None:
    settings = saved.settings.model_copy(update={"segment_tokens": 500})
    made = [
        Engine.from_profile(
            saved.profile,
            tmp_path / name,
            model=saved.model,
            device="cpu",
            dtype=torch.float32,
            scan=settings,
        )
        for name in ("here", "there")
    ]
    documents = many(saved, 6)
    here = made[0].add(documents)
    assert made[1].add(documents, runner=RayRunner(workers=1)) == here
    assert len(made[1].index.snapshot.segments) > 1
    kept = [
        [segment.encoded(entry) for segment, entry in engine.index.snapshot.live.values()]
        for engine in made
    ]
    assert_equal(kept[1], kept[0])


def test_what_no_node_has_is_told_and_waited_for(
    cluster: Any, saved: ScanPlan, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Workers(ray, saved, 1, gpus=2)):
        pass
    assert "waiting for a node that has 1 CPU and 2 GPUs: the cluster has none" in caplog.text


def test_as_many_workers_as_fit() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 4.0}},
    ]
    there = SimpleNamespace(nodes=lambda: nodes)
    assert capacity(there, 0) == 9
    assert capacity(there, 1) == 5
    assert capacity(there, 0.5) == 7
    assert capacity(there, 2) == 3


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"workers": 0}, "workers"),
        ({"gpus_per_worker": -1}, "gpus"),
        ({"gpus_per_worker": float("nan")}, "gpus"),
    ],
)
def test_senseless_settings_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        RayRunner(**given)


def test_without_ray_it_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunnerError, match=r"s3-retriever\[ray\]"):
        RayRunner()
