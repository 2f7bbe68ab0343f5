"""A whole run with a small random model: all is real but what the answers are worth."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from s3_retriever_bench.longbench import runner as runner_module
from s3_retriever_bench.longbench.answers import STAGES, Answer, AnswerFile, Key
from s3_retriever_bench.longbench.contexts import Shortener
from s3_retriever_bench.longbench.records import Record
from s3_retriever_bench.longbench.runner import METHODS, Runner
from s3_retriever_bench.longbench.shots import draw_shots

from s3_retriever import Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

RECORDS = [
    Record("q1", "multifieldqa_en", "When was it finished?", TEXT * 8, ("1887",)),
    Record("q2", "multifieldqa_en", "What burned?", TEXT * 6, ("whale oil", "oil")),
    Record("s1", "multi_news", "", TEXT * 5, ("A lighthouse. Sourdough.",)),
]
RUN = ("full", "streaming-llm", "snapkv", "bm25", "s3-pure", "s3-fast")
BUDGET = 96


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    llm = tiny_llm(max_position_embeddings=1024)
    folder = write_profile(tmp_path_factory.mktemp("profile"), llm)
    return Engine(llm, Profile.load(folder))


def predictions(answers: dict[Key, Answer]) -> dict[Key, tuple[str, float, int]]:
    return {k: (a.prediction, a.score, a.n_context_tokens) for k, a in answers.items()}


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tiny: Engine, tmp_path: Path) -> None:
    whole = AnswerFile(tmp_path / "whole", {})
    seen: list[tuple[int, int]] = []
    Runner(tiny, whole, budget=BUDGET).run(RECORDS[:2], RUN, lambda *at: seen.append(at))
    assert seen == [(done, 12) for done in range(13)]

    def killed(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    first = AnswerFile(tmp_path / "killed", {})
    with pytest.raises(KeyboardInterrupt):
        Runner(tiny, first, budget=BUDGET).run(RECORDS[:2], RUN, killed)
    path = tmp_path / "killed" / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-20])  # in the middle of a line
    second = AnswerFile(tmp_path / "killed", {})
    assert len(second.answers) == 5
    before = dict(second.answers)
    Runner(tiny, second, budget=BUDGET).run(RECORDS[:2], RUN)
    assert predictions(second.answers) == predictions(whole.answers)
    assert before.items() <= second.answers.items()  # not written anew
    assert len(path.read_text().splitlines()) == 12


def test_what_is_measured_of_an_answer(tiny: Engine, tmp_path: Path) -> None:
    file = AnswerFile(tmp_path, {})
    Runner(tiny, file, budget=BUDGET).run(RECORDS[:1], RUN)
    found = {key.method: answer for key, answer in file.answers.items()}
    assert list(found) == ["streaming-llm", "snapkv", "full", "bm25", "s3-pure", "s3-fast"]
    for name, answer in found.items():
        assert set(answer.seconds) == set(STAGES)
        assert answer.seconds["prefill"] > 0
        assert answer.seconds["decode"] > 0
        assert (answer.seconds["scan"] > 0) == (name in ("bm25", "s3-pure", "s3-fast"))
        assert answer.n_new_tokens <= 64
        assert name == "full" or 0 < answer.n_context_tokens <= BUDGET
    whole = tiny.llm.count_tokens(RECORDS[0].context)
    assert abs(found["full"].n_context_tokens - whole) <= 2
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line)["method"] for line in lines] == list(found)


def test_methods_can_be_added_to_a_run(tiny: Engine, tmp_path: Path) -> None:
    file = AnswerFile(tmp_path, {})
    Runner(tiny, file, budget=BUDGET).run(RECORDS, ["bm25"])
    seen: list[tuple[int, int]] = []
    runner = Runner(tiny, AnswerFile(tmp_path, {}), budget=BUDGET)
    runner.run(RECORDS, ["bm25", "s3-fast"], lambda *at: seen.append(at))
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)]


def test_a_method_without_weights_is_skipped_with_its_reason(
    tiny: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    said: list[str] = []
    logger = logging.getLogger("s3_retriever_bench.longbench.runner")
    monkeypatch.setattr(logger, "warning", lambda text, *values: said.append(text % values))
    seen: list[tuple[int, int]] = []
    runner = Runner(tiny, AnswerFile(tmp_path, {}), budget=BUDGET)
    runner.run(RECORDS, ["rag-rerank", "bm25"], lambda *at: seen.append(at))
    assert list(runner.skipped) == ["rag-rerank"]
    assert "no weights of the cross-encoder" in runner.skipped["rag-rerank"]
    assert seen == [(0, 6), (1, 3), (2, 3), (3, 3)]
    assert said == [f"rag-rerank is skipped: {runner.skipped['rag-rerank']}"]  # once


def test_a_method_that_exhausts_the_device_is_skipped(
    tiny: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("none left")

    monkeypatch.setattr(runner_module, "write_compressed", exhausted)
    file = AnswerFile(tmp_path, {})
    runner = Runner(tiny, file, budget=BUDGET)
    runner.run(RECORDS[:2], ["snapkv", "bm25"])
    assert runner.skipped == {"snapkv": "out of memory on multifieldqa_en q1"}
    assert [key.method for key in file.answers] == ["bm25", "bm25"]


def test_every_published_system_has_a_name() -> None:
    assert METHODS == (
        "full",
        "streaming-llm",
        "h2o",
        "snapkv",
        "pyramidkv",
        "dynamic",
        "bm25",
        "rag-dense",
        "rag-rerank",
        "hyde-rerank",
        "s3-pure",
        "s3-hybrid",
        "s3-fast",
        "s3",
    )


def test_examples_are_records_that_are_not_asked(tiny: Engine, tmp_path: Path) -> None:
    shortener = Shortener(tiny)
    shots = draw_shots(shortener, RECORDS[:2], {RECORDS[0]}, 1, seed=0)
    (shot,) = shots["multifieldqa_en"]
    assert (shot.question, shot.answer) == ("What burned?", "whale oil")
    assert 0 < tiny.llm.count_tokens(shot.context) <= 256
    assert draw_shots(shortener, [], {RECORDS[0]}, 0, seed=0) == {"multifieldqa_en": []}
    with pytest.raises(InputError, match="2 shots, but 1 records are not asked"):
        draw_shots(shortener, RECORDS[:2], {RECORDS[0]}, 2, seed=0)
    plain, shown = AnswerFile(tmp_path / "0", {}), AnswerFile(tmp_path / "1", {})
    Runner(tiny, plain, budget=BUDGET).run(RECORDS[:1], ["bm25"])
    Runner(tiny, shown, budget=BUDGET, shots=shots).run(RECORDS[:1], ["bm25"])
    assert predictions(plain.answers) != predictions(shown.answers)
