"""Records: the file's form, the draw, the hub's archive."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from s3_retriever_bench.longbench.records import Record, load_records

from s3_retriever.errors import InputError

Line = dict[str, Any]
Write = Callable[[list[Line]], Path]


def line(task: str, number: int, **changed: Any) -> Line:
    return {
        "_id": f"{task}-{number}",
        "dataset": task,
        "input": "Who?",
        "context": "Ada did.",
        "answers": ["Ada"],
        "length": 2,
        "language": "en",
        "all_classes": None,
        **changed,
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(lines: list[Line]) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
        return path

    return written


def test_the_fields_of_a_record(write: Write) -> None:
    path = write([line("qasper", 1, answers=["Ada", "she"])])
    assert load_records([path], tasks=["qasper"]) == [
        Record("qasper-1", "qasper", "Who?", "Ada did.", ("Ada", "she"))
    ]


def test_one_of_each_task_in_turn_in_the_order_of_the_tasks(write: Write) -> None:
    paths = [
        write([line("qasper", n) for n in range(3)]),
        write([line("musique", 0), line("trec", 0), line("musique", 1)]),
    ]
    found = load_records(paths, tasks=["musique", "qasper"])
    assert [r.id for r in found] == ["musique-0", "qasper-0", "musique-1", "qasper-1", "qasper-2"]


def test_the_draw_is_of_each_task_and_of_the_seed(write: Write) -> None:
    path = write([line(task, n) for task in ("qasper", "musique") for n in range(30)])

    def drawn(seed: int) -> list[str]:
        tasks = ["qasper", "musique"]
        return [r.id for r in load_records([path], tasks=tasks, limit=4, seed=seed)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert sum(name.startswith("qasper") for name in drawn(1)) == 4
    assert len(set(drawn(1))) == 8


def test_a_record_that_two_files_hold_counts_once(write: Write) -> None:
    one, two = write([line("qasper", 1)]), write([line("qasper", 1), line("qasper", 2)])
    assert len(load_records([one, two], tasks=["qasper"])) == 2
    other = write([line("qasper", 1, input="Why?")])
    with pytest.raises(InputError, match="two records of qasper have the id 'qasper-1'"):
        load_records([one, other], tasks=["qasper"])


def test_a_task_without_records_is_named(write: Write) -> None:
    with pytest.raises(InputError, match="no record of musique, qmsum"):
        load_records([write([line("qasper", 1)])], tasks=["qasper", "musique", "qmsum"])
    with pytest.raises(InputError, match="no record of narrativeqa, qasper"):
        load_records([write([line("trec", 1)])])


def test_without_a_choice_of_tasks_those_that_are_there_are_taken(write: Write) -> None:
    path = write([line("qmsum", 1), line("trec", 1), line("qasper", 1)])
    assert [record.task for record in load_records([path])] == ["qasper", "qmsum"]


@pytest.mark.parametrize(
    "changed",
    [{"answers": "Ada"}, {"answers": [1]}, {"context": None}, {"answers": None}, {"answers": []}],
)
def test_another_form_is_refused_by_its_number(write: Write, changed: Line) -> None:
    path = write([line("qasper", 1), line("qasper", 2, **changed)])
    with pytest.raises(InputError, match="record 2: no LongBench record"):
        load_records([path], tasks=["qasper"])


def test_without_files_the_hub_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as out:
        # a line separator inside a JSON string parts no records
        record = line("qasper", 1, context="Ada\u2028did.")
        out.writestr("data/qasper.jsonl", json.dumps(record, ensure_ascii=False) + "\n")
    asked = {}

    def download(repo: str, name: str, **options: Any) -> str:
        asked.update(options, repo=repo, name=name)
        return str(archive)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert [r.context for r in load_records([], tasks=["qasper"])] == ["Ada\u2028did."]
    with pytest.raises(InputError, match=r"qmsum.jsonl, record 1: no file in zai-org/LongBench"):
        load_records([], tasks=["qmsum"])
    assert (asked["repo"], asked["name"], asked["repo_type"]) == (
        "zai-org/LongBench",
        "data.zip",
        "dataset",
    )


def test_a_hub_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=r"no hub gives zai-org/LongBench .*; pass --data"):
        load_records([], tasks=["qasper"])
