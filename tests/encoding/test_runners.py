"""Scan runners."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.encoding.runners import LocalRunner, ScanPlan, load_scanner
from s3_retriever.errors import ProfileError
from s3_retriever.testing.runners import ScanRunnerContract
from tests.tiny import tiny_llm


@pytest.mark.usefixtures("one_thread")
class TestLocalRunner(ScanRunnerContract):
    @pytest.fixture
    def plan(self, saved: ScanPlan) -> ScanPlan:
        return saved

    @pytest.fixture(params=["loads", "is given"])
    def runner(self, request: pytest.FixtureRequest, saved: ScanPlan) -> LocalRunner:
        return LocalRunner(load_scanner(saved) if request.param == "is given" else None)


def test_a_plan_for_another_model_is_refused(saved: ScanPlan, tmp_path: Path) -> None:
    other = tiny_llm("qwen2")
    other.model.save_pretrained(tmp_path)
    other.tokenizer.save_pretrained(tmp_path)
    plan = ScanPlan(saved.profile, str(tmp_path), dtype="float32", device="cpu")
    with pytest.raises(ProfileError, match="tiny"):
        list(LocalRunner().run(plan, ScanRunnerContract.documents(1)))
