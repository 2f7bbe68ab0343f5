"""The index benchmark with a store in PostgreSQL: a real server, real processes that ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner

from tests.postgres import Server
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.slow  # minutes on a busy machine


@pytest.mark.usefixtures("one_thread")
def test_both_stores_are_built_and_asked(postgres: Server, tmp_path: Path) -> None:
    llm = tiny_llm(max_position_embeddings=4096)
    llm.model.save_pretrained(tmp_path / "model")
    llm.tokenizer.save_pretrained(tmp_path / "model")
    profile = write_profile(tmp_path / "profile", llm)
    (tmp_path / "corpus.txt").write_text(TEXT * 40)
    asked = ["index", str(tmp_path / "corpus.txt"), "--tokens", 9000, "--scan-tokens", 1500]
    resident = ["--profile", profile, "--model", tmp_path / "model", "--device", "cpu"]
    store = ["--store", postgres.url(), "--clients", "1,2"]
    result = CliRunner().invoke(app, list(map(str, [*asked, *resident, *store, "--json"])))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["tokens"] >= 9000
    assert set(found["stores"]) == {"folder", "postgresql"}
    for measured in found["stores"].values():
        assert measured["build_tokens_per_s"] > 0
        assert all(measured["bytes_per_token"].values())
        assert set(measured["clients"]) == {"1", "2"}
        for times in measured["clients"].values():
            assert 0 < times["search_p50_ms"] < times["fast_p50_ms"] <= times["fast_p95_ms"]
            assert times["questions_per_s"] > 0
    for ratio in found["ratio"].values():
        assert min(ratio.values()) > 0
    left = postgres.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%bench%'")
    assert not left
