"""LongBench's records: files in its JSON-lines form, or the hub's archive."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.labels.datasets.records import expecting, read_records
from s3_retriever_bench.longbench.tasks import TASKS

__all__ = ["HUB", "Record", "load_records"]

HUB = "zai-org/LongBench"
"""The data set's place on the hub (once THUDM/LongBench): one archive, a JSON-lines file a task."""


@dataclass(frozen=True)
class Record:
    """A long text, what is asked of it, and the answers that count."""

    id: str
    """Unique within its task."""
    task: str
    """A key of :data:`~s3_retriever_bench.longbench.tasks.TASKS`."""
    input: str
    """The question; empty where the task is a summary of everything."""
    context: str
    answers: tuple[str, ...]


def load_records(
    paths: Sequence[Path],
    *,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Record]:
    """Read records, draw some of each task, and take one of each task in turn.

    In that order whatever part of a run is done has every task in it.

    Args:
        paths: LongBench files (``dataset``, ``_id``, ``input``, ``context`` and ``answers`` a
            line); without any the hub's LongBench is read. Records of other tasks are passed over.
        tasks: whose records are wanted; ``None`` takes those of the nine that there are.
        limit: draw this many records of each task with ``seed``; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: a file cannot be read or has another form (names the record), a task has no
            record (without ``tasks``: all have none), one id stands for two different records, or
            no hub answers.
    """
    by_task: dict[str, dict[str, Record]] = {task: {} for task in tasks or TASKS}
    for record in _from_files(paths) if paths else _from_hub(by_task):
        known = by_task.get(record.task)
        if known is not None and known.setdefault(record.id, record) != record:
            raise InputError(f"two records of {record.task} have the id {record.id!r}")
    missing = [task for task, records in by_task.items() if not records]
    if missing and (tasks or len(missing) == len(by_task)):
        where = ", ".join(map(str, paths)) or HUB
        raise InputError(f"{where}: no record of {', '.join(missing)}")
    drawn = [_draw(list(records.values()), limit, seed) for records in by_task.values()]
    return [record for turn in zip_longest(*drawn) for record in turn if record is not None]


def _draw(records: list[Record], limit: int | None, seed: int) -> list[Record]:
    if limit is None or limit >= len(records):
        return records
    return random.Random(seed).sample(records, limit)  # noqa: S311  (no secret)


def _from_files(paths: Iterable[Path]) -> Iterator[Record]:
    for path in paths:
        for number, line in enumerate(read_records(path), start=1):
            with expecting("LongBench record", path, number):
                record = _record(line)
            yield record


def _from_hub(tasks: Iterable[str]) -> Iterator[Record]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        file = hf_hub_download(HUB, "data.zip", repo_type="dataset", etag_timeout=5)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as e:
        raise InputError(
            f"no file is given and no hub gives {HUB} ({type(e).__name__}: {e}); pass --data"
        ) from e
    with zipfile.ZipFile(file) as archive:
        for task in tasks:
            path = Path("data", f"{task}.jsonl")
            with expecting(f"file in {HUB}", path, 1):
                member = archive.open(path.as_posix())
            with member:
                for number, line in enumerate(io.TextIOWrapper(member, "utf-8"), start=1):
                    with expecting("LongBench record", path, number):
                        record = _record(json.loads(line))
                    yield record


def _record(line: Any) -> Record:
    """Unpack one line; fails as :func:`expecting` expects if it has another form."""
    record = Record(
        line["_id"], line["dataset"], line["input"], line["context"], tuple(line["answers"])
    )
    texts = [record.id, record.task, record.input, record.context, *record.answers]
    if isinstance(line["answers"], str) or not all(isinstance(text, str) for text in texts):
        raise TypeError("ids and texts must be strings, answers a list of them")
    if not record.answers:
        raise ValueError("no answer counts")
    return record
