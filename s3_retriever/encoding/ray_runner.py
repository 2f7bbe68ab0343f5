"""Documents read by the processes of a Ray cluster; they are put into the index by this one."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from s3_retriever.encoding.chunks import rounds
from s3_retriever.encoding.ray_cluster import capacity, connected, import_ray
from s3_retriever.encoding.ray_workers import ReadRound, Round, Workers
from s3_retriever.encoding.runners import ScanPlan
from s3_retriever.errors import InputError
from s3_retriever.types import Document, EncodedDocument, FailedDocument

__all__ = ["ROUNDS_AHEAD", "RayRunner"]

ROUNDS_AHEAD = 4
"""Rounds a worker that are taken and not given back: two that it has, and as many that are read
and wait for one before them. Bounds the memory of this process."""
_LOSSES = 3
"""Workers that may be lost over a round; then its documents are read one by one, and then a
document that ends as many by itself is left out."""


@dataclass(frozen=True)
class RayRunner:
    """Reads documents on a Ray cluster; see :class:`~s3_retriever.encoding.runners.ScanRunner`.

    Each worker is a process of one thread (and some GPU) that loads the model once, for one run.
    A worker or a machine that is lost costs time and nothing else. What is sent and given back is
    pickled by Ray: a cluster's machines trust each other.

    Example:
        >>> RayRunner(workers=2, gpus_per_worker=0).workers
        2
    """

    address: str | None = None
    """``host:port``; ``None``: the cluster that ``RAY_ADDRESS`` names or that runs on this machine,
    else one that is started on this machine and ended after the run."""
    workers: int | None = None
    """``None``: as many as the cluster's nodes hold."""
    gpus_per_worker: float | None = None
    """May be a part of one, if several models fit a GPU; ``None``: 1, or 0 where there are none."""

    def __post_init__(self) -> None:
        """Check what was given, before anything is loaded.

        Raises:
            InputError: fewer than one worker, or less than no GPU.
            RunnerError: Ray is not installed.
        """
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers must be at least 1, not {self.workers}")
        if self.gpus_per_worker is not None and not 0 <= self.gpus_per_worker < float("inf"):
            raise InputError(f"gpus_per_worker must be 0 or more, not {self.gpus_per_worker}")
        import_ray()

    def run(
        self,
        plan: ScanPlan,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument | FailedDocument]:
        """See :class:`~s3_retriever.encoding.runners.ScanRunner`.

        Workers start with the first document that is asked for, and end with the last that was
        given back, or when the iterator is closed.

        Raises:
            RunnerError: the cluster cannot be reached, its workers cannot be started, or they
                have another version of this package.
        """
        source = rounds(documents, plan.settings.batch_tokens)
        first = next(source, None)
        if first is None:
            return
        with connected(self.address) as ray:
            gpus = self.gpus_per_worker
            if gpus is None:
                gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
            if not gpus:
                plan = replace(plan, device="cpu")  # else it would take a GPU of somebody
            n = self.workers or max(1, capacity(ray, gpus))
            with closing(Workers(ray, plan, n, gpus)) as workers:
                for read in _in_order(workers, itertools.chain([first], source), ROUNDS_AHEAD * n):
                    on_progress(read.tokens, read.characters)
                    yield from read.documents


def _in_order(
    workers: Workers, source: Iterator[Sequence[Document]], most: int
) -> Iterator[ReadRound]:
    """Rounds as they were given, at most so many of them taken and not given back."""
    taken: list[Round] = []
    waiting: deque[Round] = deque()
    while True:
        for documents in itertools.islice(source, max(0, most - len(taken))):
            taken.append(Round(documents))
            waiting.append(taken[-1])
        workers.give(waiting)
        if not taken:
            return
        if (read := taken[0].read) is not None:
            del taken[0]
            yield read
            continue
        for lost in reversed(workers.wait()):
            waiting.extendleft(reversed(_again(lost, taken)))


def _again(lost: Round, taken: list[Round]) -> list[Round]:
    """What of a lost round is to be read again."""
    if lost.losses < _LOSSES:
        return [lost]
    if len(lost.documents) > 1:
        parts = [Round([document]) for document in lost.documents]
        at = taken.index(lost)
        taken[at : at + 1] = parts
        return parts
    reason = f"{_LOSSES} workers were lost, one after the other, while they read it"
    lost.read = ReadRound([FailedDocument(lost.documents[0].id, reason)], 0, 0)
    return []
