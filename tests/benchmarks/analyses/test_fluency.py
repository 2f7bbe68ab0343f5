"""Compressed contexts against the full one: what cannot differ, and what the definitions say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from s3_retriever_bench.analyses.asked import QA_TASKS, load_asked, load_contexts
from s3_retriever_bench.analyses.fluency import answer_distributions, kl, measure_fluency
from s3_retriever_bench.cli.app import app
from s3_retriever_bench.longbench.records import Record
from typer.testing import CliRunner

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from tests.labels.test_datasets import KEPT, OTHER, SQUAD, write
from tests.tiny import tiny_llm

LINE = {"_id": "1", "dataset": "qasper", "input": "Who?", "context": "Ann.", "answers": ["Ann"]}


def test_both_forms_become_records(tmp_path: Path) -> None:
    [record] = load_asked(write(tmp_path / "a.jsonl", KEPT), tasks=QA_TASKS, limit=None, seed=0)
    assert (record.task, record.input, record.answers) == (
        "hotpotqa",
        KEPT["question"],
        ("Agnes Tullis",),
    )
    assert record.context.startswith("Light\nIt was built.")
    [other] = load_asked(write(tmp_path / "b.jsonl", LINE), tasks=["qasper"], limit=None, seed=0)
    assert other == Record("1", "qasper", "Who?", "Ann.", ("Ann",))


def test_only_questions_with_an_answer_and_a_context_of_their_own(tmp_path: Path) -> None:
    answered = write(tmp_path / "a.jsonl", KEPT, OTHER)
    [collection] = load_contexts(answered, limit=None, seed=0)
    assert collection.questions[0].text == KEPT["question"]
    with pytest.raises(InputError, match="several questions of a context"):
        load_contexts(write(tmp_path / "b.json", SQUAD), limit=None, seed=0)


def test_each_row_is_the_next_tokens_distribution() -> None:
    llm = tiny_llm()
    prompt, answer = [5, 6, 7, 8], [9, 10]
    rows = answer_distributions(llm, prompt, answer)
    for n, row in enumerate(rows):
        ids = torch.tensor([prompt + answer[:n]])
        with torch.inference_mode():
            expected = llm.model(input_ids=ids).logits[0, -1].float().log_softmax(-1)
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


def test_a_divergence_a_token_and_the_first_is_the_published_one() -> None:
    half, quarter = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    found = kl(torch.stack([half, half]), torch.stack([quarter, half]))
    assert found.tolist() == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0])


def test_a_budget_for_everything_changes_nothing(resident: list[str]) -> None:
    engine = Engine.from_profile(resident[1], model=resident[3], device="cpu")
    record = Record("1", "hotpotqa", "Who kept it?", "Ann kept the light.", ("Ann",))
    found = measure_fluency(engine, [record], budget=100)
    full = found["methods"]["full"]
    assert full["kl"]["mean"] == full["answer_kl"]["mean"] == 0
    assert full["answer_recall"]["mean"] == 1
    assert found["methods"]["no context"]["answer_recall"]["mean"] == 0
    assert found["methods"]["no context"]["kl"]["mean"] > 0
    for name in ("s3-pure", "s3", "bm25"):  # one sentence: it is chosen whole
        for metric in ("kl", "answer_kl"):
            assert found["methods"][name][metric]["mean"] == pytest.approx(0, abs=1e-5)
        assert found["methods"][name]["nll"]["mean"] == pytest.approx(full["nll"]["mean"])


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    record = {**OTHER, "answers": ["There"]}
    data = write(tmp_path / "data.jsonl", KEPT, record)
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", str(figures), "--plot", str(picture)]
    asked = ["fluency", "--data", str(data), "--budget", "20"]
    result = CliRunner().invoke(app, [*asked, *out, *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["n"] == 2
    assert {"full", "s3", "s3-hybrid", "bm25", "no context"} <= set(found["methods"])
    assert set(found["differences"]) <= {"s3-hybrid", "s3-pure", "bm25", "rag-dense"}
    assert found["methods"]["s3"]["context_tokens"] <= 20
    assert picture.read_bytes().startswith(b"\x89PNG")
