"""Questions with answers and their contexts, as LongBench asks them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection
from s3_retriever.labels.datasets import load_collections
from s3_retriever.labels.datasets.records import read_records
from s3_retriever_bench.longbench.records import Record, load_records
from s3_retriever_bench.longbench.tasks import TASKS

__all__ = ["QA_TASKS", "as_record", "load_asked", "load_contexts"]

QA_TASKS = tuple(name for name, task in TASKS.items() if task.metric == "f1")
"""The tasks that ask questions."""


def load_asked(path: Path, *, tasks: Sequence[str], limit: int | None, seed: int) -> list[Record]:
    """Records of a LongBench file, or of multi-hop records whose paragraphs make the context.

    Args:
        path: of either form.
        tasks: LongBench's names of those wanted; multi-hop records are asked with the prompt that
            LongBench has for HotpotQA, 2WikiMQA and MuSiQue alike.
        limit: draw so many (of each task) with ``seed``; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read or has neither form.
    """
    first = next(iter(read_records(path)), None)
    if not isinstance(first, dict) or "paragraphs" not in first:
        return load_records([path], tasks=tasks, limit=limit, seed=seed)
    return [as_record(collection) for collection in load_contexts(path, limit=limit, seed=seed)]


def load_contexts(path: Path, *, limit: int | None, seed: int) -> list[Collection]:
    """Multi-hop records as collections of one context and one question with an answer each.

    Args:
        path: of the records.
        limit: draw so many with ``seed``; those without an answer are then left out.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read, or asks several questions of one context.
    """
    found = load_collections(path, limit=limit, seed=seed)
    if any(len(collection.questions) != 1 for collection in found):
        raise InputError(
            f"{path} asks several questions of a context: multi-hop records are needed"
        )
    return [collection for collection in found if collection.questions[0].answers]


def as_record(collection: Collection) -> Record:
    """A multi-hop collection of the distractor setting, as LongBench would hold it."""
    [document], [question] = collection.documents, collection.questions
    return Record(question.id, "hotpotqa", question.text, document.text, question.answers)
