"""What a reader behind a server says when the server cannot be asked (what it reads: test_vllm)."""

from __future__ import annotations

import socket

import pytest

from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.endpoint import EndpointJudge
from s3_retriever.testing.models import TokenizingContract
from tests.tiny import tiny_llm


def judge(url: str = "http://127.0.0.1:9/v1") -> EndpointJudge:
    return EndpointJudge(url, "tiny", tiny_llm("llama"))


class TestTokens(TokenizingContract):
    special_tokens = ("<|end|>",)

    @pytest.fixture(scope="class")
    def llm(self) -> EndpointJudge:
        return judge()


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:  # bound and not listening: nothing answers
        taken.bind(("127.0.0.1", 0))
        asked = judge(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(ModelError, match="failed"):
            asked.question_log_likelihoods([asked.tokenize("Bread").ids], "Who?")


def test_nothing_to_judge_asks_nobody() -> None:
    assert judge().question_log_likelihoods([], "Who?").shape[0] == 0


def test_no_url_is_refused() -> None:
    with pytest.raises(InputError, match="http://"):
        judge("gpu:8000")
