"""Ray actors that read rounds of documents, and what happens when one is lost."""

from __future__ import annotations

import logging
import platform
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from typing import Any, NamedTuple

import torch

from s3_retriever.encoding.ray_cluster import capacity
from s3_retriever.encoding.runners import ScanPlan, load_scanner, read_round
from s3_retriever.errors import EndogenousError, RunnerError
from s3_retriever.types import Document, EncodedDocument, FailedDocument

__all__ = ["ReadRound", "Reader", "Round", "Workers"]

logger = logging.getLogger(__name__)

_QUEUED = 2
"""Rounds that a worker has at most: one that it reads, one so that it need not wait."""
_PATIENCE = 300.0
"""Seconds without any worker after which the user is told: loading large weights takes minutes."""
_FAILED_STARTS = 3
"""Workers that end one after the other before they have loaded the model, and then no more."""


class ReadRound(NamedTuple):
    """What became of a round."""

    documents: list[EncodedDocument | FailedDocument]
    """In the round's order."""
    tokens: int
    """Tokens that were read for it."""
    characters: int


@dataclass
class Round:
    """Documents that are read together, here or there."""

    documents: Sequence[Document]
    losses: int = 0
    """Workers that were lost while they read it."""
    read: ReadRound | None = None


class Reader:
    """What a worker's process holds: the model, loaded once."""

    def __init__(self, plan: ScanPlan) -> None:
        """Take what is read with; nothing is loaded yet."""
        self._plan = plan

    def load(self) -> tuple[str, str]:
        """Load the model; the version of this package there, and the machine's name."""
        torch.set_num_threads(1)  # the processor that it asked for
        self._scanner = load_scanner(self._plan)
        return version_of("s3-retriever"), platform.node()

    def read(self, documents: Sequence[Document]) -> ReadRound:
        """Read a round."""
        told: list[tuple[int, int]] = []
        read = read_round(self._scanner, documents, on_progress=lambda *counts: told.append(counts))
        return ReadRound(read, sum(t for t, _ in told), sum(c for _, c in told))


@dataclass
class _Worker:
    """An actor, and what it was asked for."""

    actor: Any
    loading: Any
    """Reference to what ``load`` gives; ``None`` when that is known."""
    rounds: dict[Any, Round] = field(default_factory=dict)
    """By reference to the result, in the order in which they are read."""

    @property
    def refs(self) -> list[Any]:
        """All that it will give."""
        return [*self.rounds] if self.loading is None else [self.loading]


class Workers:
    """As many actors as wanted; one that is lost is replaced where the cluster has room.

    Ray restarts nothing itself: a round is read again here, by a worker that is there.
    """

    def __init__(self, ray: Any, plan: ScanPlan, n: int, gpus: float) -> None:
        """Ask for actors; they start when the cluster has room for them.

        Args:
            ray: the package, connected.
            plan: what they read with.
            n: how many.
            gpus: of each, may be a part of one.
        """
        self._ray = ray
        self._plan = plan
        self._needs = f"1 CPU and {gpus:g} GPUs" if gpus else "1 CPU"
        if not capacity(ray, gpus):
            logger.warning("waiting for a node that has %s: the cluster has none", self._needs)
        self._actors = ray.remote(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )(Reader)
        self._failed_starts = 0
        self._workers = [self._start() for _ in range(n)]

    def _start(self) -> _Worker:
        actor = self._actors.remote(self._plan)
        return _Worker(actor, actor.load.remote())

    def give(self, rounds: deque[Round]) -> None:
        """Hand out rounds from the left, while a worker has room for one."""
        there = [worker for worker in self._workers if worker.loading is None]
        while rounds and there:
            worker = min(there, key=lambda w: len(w.rounds))
            if len(worker.rounds) >= _QUEUED:
                return
            given = rounds.popleft()
            worker.rounds[worker.actor.read.remote(given.documents)] = given

    def wait(self) -> list[Round]:
        """Wait until something has happened: a round was read, a worker has loaded or is lost.

        Returns:
            Rounds that a lost worker had; the first was being read.

        Raises:
            EndogenousError: the plan cannot be used there.
            RunnerError: workers cannot be started, or have another version of this package.
        """
        by_ref = {ref: worker for worker in self._workers for ref in worker.refs}
        done, _ = self._ray.wait(list(by_ref), timeout=_PATIENCE)
        if not done and all(worker.loading is not None for worker in self._workers):
            has = {k: v for k, v in self._ray.cluster_resources().items() if k in ("CPU", "GPU")}
            logger.warning(
                "no worker has started yet: each needs %s; there are %s", self._needs, has
            )
        # all that is done by now, so that none waits for ever behind a faster one
        done, _ = self._ray.wait(list(by_ref), num_returns=len(by_ref), timeout=0)
        lost: list[Round] = []
        for ref in done:
            if ref in by_ref[ref].refs:  # and not lost with its worker just now
                lost += self._done(by_ref[ref], ref)
        return lost

    def _done(self, worker: _Worker, ref: Any) -> list[Round]:
        """Take what is done; rounds to be read again."""
        try:
            found = self._ray.get(ref)
        except self._ray.exceptions.RayError as e:
            cause = getattr(e, "cause", None)
            if isinstance(cause, EndogenousError):
                raise cause from None
            return self._lost(worker, cause or e)
        if ref == worker.loading:
            self._loaded(worker, *found)
        else:
            worker.rounds.pop(ref).read = found
        return []

    def _loaded(self, worker: _Worker, version: str, machine: str) -> None:
        if version != (here := version_of("s3-retriever")):
            raise RunnerError(f"s3-retriever is {version} on {machine}, and {here} here")
        worker.loading = None
        self._failed_starts = 0

    def _lost(self, worker: _Worker, error: BaseException) -> list[Round]:
        if worker.loading is not None:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                said = str(error).strip().partition("\n")[0]
                raise RunnerError(f"no worker can be started: {type(error).__name__}: {said}")
        logger.info("a worker is lost (%s); what it had is read again", type(error).__name__)
        rounds = list(worker.rounds.values())
        worker.rounds = {}
        for being_read in rounds[:1]:
            being_read.losses += 1
        self._ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._start()
        return rounds

    def close(self) -> None:
        """End all."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
