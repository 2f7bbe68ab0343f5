"""Every method answers every record; what is answered is on disk."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from s3_retriever.engine import Engine
from s3_retriever_bench.longbench.answers import Answer, AnswerFile, Key
from s3_retriever_bench.longbench.caches import CACHE_METHODS, write_compressed
from s3_retriever_bench.longbench.contexts import TEXT_METHODS, Shortener
from s3_retriever_bench.longbench.metrics import score
from s3_retriever_bench.longbench.prompts import Shot, prompt_ids
from s3_retriever_bench.longbench.records import Record
from s3_retriever_bench.longbench.tasks import TASKS
from s3_retriever_bench.longbench.writing import Written, write
from s3_retriever_bench.methods.method import MethodUnavailable, own_weights

__all__ = ["METHODS", "Runner"]

logger = logging.getLogger(__name__)

METHODS = ("full", *CACHE_METHODS, *TEXT_METHODS)
"""In the order of the published table, and then this library's own."""


class Runner:
    """Asks methods for answers that are not there yet, a record after the other.

    All methods answer a record before the next one is begun, so a run that is stopped has treated
    them alike.
    """

    def __init__(
        self,
        engine: Engine,
        answers: AnswerFile,
        *,
        budget: int,
        shots: Mapping[str, Sequence[Shot]] | None = None,
        shortener: Shortener | None = None,
    ) -> None:
        """Answer with the engine's model.

        Args:
            engine: its index is not touched.
            answers: what is there, and where answers are put.
            budget: tokens of a context, or positions of a cache.
            shots: examples before the question, by task.
            shortener: for the text methods; by default a new one.

        Raises:
            MethodUnavailable: the model is not in this process.
        """
        self._llm = own_weights(engine)
        self._answers = answers
        self._budget = budget
        self._shots = shots or {}
        self._shortener = shortener or Shortener(engine)
        self.skipped: dict[str, str] = {}
        """Why a method does not run here, by method."""

    def run(
        self,
        records: Sequence[Record],
        methods: Sequence[str],
        on_answer: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Answer what is not answered.

        Args:
            records: what is asked.
            methods: names of :data:`METHODS`.
            on_answer: called with the answers that are there and the number there will be, once
                before the first and after each.

        Raises:
            InputError: a prompt does not fit the window, or a budget is too small for a method.
        """
        wanted = [Key(m, record.task, record.id) for record in records for m in methods]
        on_answer(self._done(wanted), self._total(wanted))
        for record in records:
            missing = [
                name
                for name in methods
                if name not in self.skipped
                and Key(name, record.task, record.id) not in self._answers.answers
            ]
            for answer in self._answer(record, missing):
                self._answers.add(answer)
                on_answer(self._done(wanted), self._total(wanted))

    def _done(self, wanted: Sequence[Key]) -> int:
        answers = self._answers.answers
        return sum(key in answers for key in wanted if key.method not in self.skipped)

    def _total(self, wanted: Sequence[Key]) -> int:
        return sum(key.method not in self.skipped for key in wanted)

    def _answer(self, record: Record, methods: Sequence[str]) -> Iterator[Answer]:
        """All compressed caches at once, from one reading of the prompt; the others one by one."""
        caches = [name for name in methods if name in CACHE_METHODS]
        groups = [[name] for name in methods if name not in caches]
        for group in [caches, *groups] if caches else groups:
            missing = set(group)
            try:
                for answer in self._answers_of(group, record):
                    missing.discard(answer.method)
                    yield answer
            except MethodUnavailable as e:
                self._skip(missing, str(e))
            except torch.OutOfMemoryError:
                self._skip(missing, f"out of memory on {record.task} {record.id}")

    def _answers_of(self, group: Sequence[str], record: Record) -> Iterator[Answer]:
        if group[0] in CACHE_METHODS:
            return self._compressed(record, group)
        return iter([self._full(record) if group[0] == "full" else self._shortened(record, *group)])

    def _full(self, record: Record) -> Answer:
        ids = self._prompt(record, record.context)
        written = write(self._llm, ids, TASKS[record.task].max_new_tokens)
        return self._judged(record, "full", written, len(ids) - len(self._prompt(record, "")))

    def _compressed(self, record: Record, methods: Sequence[str]) -> Iterator[Answer]:
        ids = self._prompt(record, record.context)
        answered = write_compressed(
            self._llm, ids, methods, self._budget, TASKS[record.task].max_new_tokens
        )
        for name, written in answered:
            yield self._judged(record, name, written, min(self._budget, len(ids)))

    def _shortened(self, record: Record, name: str) -> Answer:
        short = self._shortener.shorten(record, name, self._budget)
        ids = self._prompt(record, short.text)
        written = write(self._llm, ids, TASKS[record.task].max_new_tokens)
        return dataclasses.replace(
            self._judged(record, name, written, short.n_tokens),
            seconds={
                "scan": short.scan_s,
                "retrieve": short.retrieve_s,
                "prefill": written.prefill_s,
                "decode": written.decode_s,
            },
            peak_bytes=max(short.peak_bytes, written.peak_bytes),
        )

    def _prompt(self, record: Record, context: str) -> list[int]:
        task = TASKS[record.task]
        limit = self._llm.window - task.max_new_tokens
        shots = self._shots.get(record.task, ())
        return prompt_ids(self._llm, task, context, record.input, limit=limit, shots=shots)

    def _judged(self, record: Record, method: str, written: Written, n_context: int) -> Answer:
        return Answer(
            method=method,
            task=record.task,
            id=record.id,
            prediction=written.text,
            score=score(TASKS[record.task].metric, written.text, record.answers),
            n_context_tokens=n_context,
            n_new_tokens=written.n_tokens,
            seconds={
                "scan": 0.0,
                "retrieve": 0.0,
                "prefill": written.prefill_s,
                "decode": written.decode_s,
            },
            peak_bytes=written.peak_bytes,
        )

    def _skip(self, methods: Iterable[str], reason: str) -> None:
        for name in methods:
            logger.warning("%s is skipped: %s", name, reason)
            self.skipped[name] = reason
