"""The index benchmark, small, with a random model: its figures are those of what it built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from s3_retriever_bench import index_bench
from s3_retriever_bench.index_bench import bench_index, exhaustive, scan_source

from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.candidates import find_candidates
from s3_retriever.retrieval.scoring.base import score_tokens
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.index import Index
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.mark.usefixtures("one_thread")
def test_bench_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = tiny_llm(max_position_embeddings=4096)
    folder = write_profile(tmp_path, llm)
    profile = Profile.load(folder)
    source = scan_source(llm, profile, [TEXT * 40], tokens=1500, questions=["Why?"], n_questions=4)
    assert source.n_tokens >= 1500
    assert source.questions[0][0] == "Why?"
    result = bench_index(profile, str(folder), source, tmp_path / "index", 9000)
    assert 9000 <= result["tokens"] < 9000 + max(len(c) for c in source.coded)
    assert result["candidate_recall"] == 1.0  # 141 blocks, of which 1,024 may be candidates
    assert 0 < result["p50_ms"] <= result["p95_ms"]
    assert result["bytes_per_token"]["forward"] > 0 < result["bytes_per_token"]["tantivy"]

    view = Index(tmp_path / "index", profile.card).view
    scorer = source.questions[0][1]()
    settings = CandidateSettings(cover=10_000)
    ranges = find_candidates(view, view.search, [], scorer, settings, None, look_up_words=False)
    assert sum(map(len, ranges)) == view.n_tokens
    monkeypatch.setattr(index_bench, "_CHUNK", 500)  # many pieces, whose totals are merged
    found = exhaustive(view, scorer)
    exact = np.concatenate([found[r.doc_id][r.first : r.last] for r in ranges])
    at_once = score_tokens(scorer, [view.tokens(ranges)])  # one softmax over everything
    torch.testing.assert_close(torch.from_numpy(exact), torch.from_numpy(at_once))
