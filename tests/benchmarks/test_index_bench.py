"""The index benchmark, small, with a random model: its figures are those of what it built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from s3_retriever_bench.index_bench import _exhaustive, bench_index, scan_source

from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.candidates import codes_of, find_candidates
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.index import Index
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.mark.usefixtures("one_thread")
def test_bench_index(tmp_path: Path) -> None:
    llm = tiny_llm(max_position_embeddings=4096)
    folder = write_profile(tmp_path, llm)
    profile = Profile.load(folder)
    source = scan_source(llm, profile, [TEXT * 40], tokens=1500, questions=["Why?"], n_questions=4)
    assert source.n_tokens >= 1500
    assert source.questions[0][0] == "Why?"
    result = bench_index(profile, str(folder), source, tmp_path / "index", 9000)
    assert 9000 <= result["tokens"] < 9000 + max(len(c.tokens) for c in source.coded)
    assert result["candidate_recall"] == 1.0  # 141 blocks, of which 1,024 may be candidates
    assert 0 < result["p50_ms"] <= result["p95_ms"]
    assert result["bytes_per_token"]["forward"] > 0 < result["bytes_per_token"]["tantivy"]

    index = Index(tmp_path / "index", profile)
    scorer = source.questions[0][1]()
    settings = CandidateSettings(cover=10_000)
    runs = find_candidates(index.snapshot, index.candidates, "", scorer, settings, None, "features")
    exact = np.concatenate(
        [_exhaustive(index, scorer)[r.segment.name][slice(*r.rows)] for r in runs]
    )
    at_once = scorer.score(*codes_of(runs))  # one softmax over everything: the definition
    weight = sum(h.weight for h in profile.card.heads)
    torch.testing.assert_close(
        torch.from_numpy(exact) * len(exact) / weight, torch.from_numpy(at_once)
    )
