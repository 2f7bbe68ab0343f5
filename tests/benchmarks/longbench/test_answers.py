"""Answers on disk: what a killed run leaves behind is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from s3_retriever_bench.longbench.answers import Answer, AnswerFile

from s3_retriever.errors import InputError

SETTINGS = {"model": "m", "budget": 64, "limit": None}


def answer(method: str = "full", task: str = "qasper", name: str = "1", **changed: Any) -> Answer:
    fields: dict[str, Any] = {
        "prediction": "Ada\u2028Quill\r\n",
        "score": 0.5,
        "n_context_tokens": 64,
        "n_new_tokens": 3,
        "seconds": {"scan": 1.0, "retrieve": 0.5, "prefill": 0.25, "decode": 0.25},
        "peak_bytes": 2**20,
    }
    return Answer(method=method, task=task, id=name, **{**fields, **changed})


def test_what_is_added_is_there_the_next_time(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "out", SETTINGS)
    file.add(answer())
    file.add(answer("h2o"))
    again = AnswerFile(tmp_path / "out", SETTINGS)
    assert again.answers == file.answers
    assert list(again.answers.values()) == [answer(), answer("h2o")]


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_line_that_is_cut_off_is_dropped(tmp_path: Path, kept: int) -> None:
    file = AnswerFile(tmp_path, SETTINGS)
    file.add(answer())
    whole = (tmp_path / "answers.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").write_bytes(whole + whole[:kept])
    again = AnswerFile(tmp_path, SETTINGS)
    assert again.answers == file.answers
    again.add(answer("h2o"))
    assert len((tmp_path / "answers.jsonl").read_text("utf-8").splitlines()) >= 2
    assert len(AnswerFile(tmp_path, SETTINGS).answers) == 2


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    AnswerFile(tmp_path, SETTINGS)
    with pytest.raises(InputError, match=r"other settings \(budget: 64 there, now 128\)"):
        AnswerFile(tmp_path, {**SETTINGS, "budget": 128})
    with pytest.raises(InputError, match=r"shots: None there, now 2"):
        AnswerFile(tmp_path, {**SETTINGS, "shots": 2})
    AnswerFile(tmp_path, dict(SETTINGS))


def test_damage_is_named(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path, SETTINGS)
    file.add(answer())
    line = json.loads((tmp_path / "answers.jsonl").read_text("utf-8"))
    del line["score"]
    with (tmp_path / "answers.jsonl").open("a") as out:
        out.write(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="line 2 is no answer: Field required"):
        AnswerFile(tmp_path, SETTINGS)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings.json is damaged"):
        AnswerFile(tmp_path, SETTINGS)


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="out cannot be used"):
        AnswerFile(tmp_path / "out", SETTINGS)
