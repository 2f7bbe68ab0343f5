"""A process that loaded a model and asked it goes on after a fork, and so do its children."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s3_retriever.errors import ModelError
from s3_retriever.forking import ForkLock
from s3_retriever.models.forked import ModelLock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("threads", "how", "business"),
    [
        (2, "os", "busy"),
        (1, "multiprocessing", "busy"),
        (2, "multiprocessing", "quiet"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (1, "os", "quiet"),
                (1, "os", "busy"),
                (2, "os", "quiet"),
                (1, "multiprocessing", "quiet"),
                (2, "multiprocessing", "busy"),
            ]
        ),
    ],
)
def test_children_answer_as_their_parent_does(
    tmp_path: Path, threads: int, how: str, business: str
) -> None:
    command = [sys.executable, "-m", "tests.engine.fork_child", str(threads), how, business]
    done = subprocess.run(  # a child that hangs ends at the limit
        [*command, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def in_child(work: Callable[[], bool]) -> bool:
    """What ``work`` says in a forked child."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    try:
        os._exit(int(work()))
    finally:
        os._exit(99)


def free(lock: ForkLock) -> bool:
    return bool(lock._lock.acquire(blocking=False))


def test_a_lock_that_another_thread_holds_is_free_in_a_child() -> None:
    lock, held, ended = ForkLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            ended.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    assert not free(lock)
    assert in_child(lambda: free(lock))
    ended.set()
    holder.join()


def test_a_lock_that_the_forking_thread_holds_stays_its_own() -> None:
    lock = ForkLock(awaited=True)

    def released() -> bool:
        lock.__exit__(None, None, None)
        return free(lock)

    with lock:
        assert in_child(released)


def test_a_fork_waits_for_what_has_to_be_whole() -> None:
    lock, held, state = ForkLock(awaited=True), threading.Event(), ["whole"]

    def change() -> None:
        with lock:
            state[0] = "half"
            held.set()
            threading.Event().wait(0.2)
            state[0] = "whole"

    changing = threading.Thread(target=change)
    changing.start()
    held.wait()
    assert in_child(lambda: state == ["whole"])
    changing.join()


def test_a_model_on_another_device_is_refused_in_a_child() -> None:
    class OnGpu:
        device = torch.device("cuda")

    lock = ModelLock(OnGpu())

    def refused() -> bool:
        with pytest.raises(ModelError, match="before this process was forked"), lock:
            pass
        return True

    with lock:
        pass
    assert in_child(refused)
