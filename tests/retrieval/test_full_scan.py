"""The blocks with the highest peaks, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.candidates import find_candidates, runs_of
from s3_retriever.retrieval.full_scan import best_blocks
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring import AttentionScorer
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.index import Index
from s3_retriever.storage.segments import BLOCK_TOKENS
from tests.storage.conftest import code, random_profile
from tests.storage.test_index import put

LAYOUT = AttentionLayout("llama", 2, n_heads=2, n_kv_heads=1, head_dim=8, scaling=0.5)
HEADS = (Head(layer=0, head=1, weight=2.0), Head(layer=1, head=0, weight=0.5))


def scorer_of(profile: Profile, n_tokens: int, seed: int = 3) -> AttentionScorer:
    generator = torch.Generator().manual_seed(seed)
    queries = {n: 0.1 * torch.randn(n_tokens, 2, 8, generator=generator) for n in (0, 1)}
    null = {n: torch.randn(2, 2, 8, generator=generator) for n in (0, 1)}
    return AttentionScorer(
        profile, LAYOUT, ProjectedQuestion("q", queries), ProjectedQuestion("N/A", null)
    )


@pytest.fixture
def index() -> Index:
    """Three segments; of 8 documents of 1 to 150 tokens, two are deleted."""
    torch.manual_seed(0)
    bare = random_profile()
    profile = Profile(bare.card.model_copy(update={"heads": HEADS}), bare.saes)
    index = Index(None, profile)
    lengths = [150, 64, 1, 65, 130, 7, 128, 90]
    documents = [code(f"d{n}", "word " * length, seed=n) for n, length in enumerate(lengths)]
    for first, last in ((0, 3), (3, 6), (6, 8)):
        put(index, *documents[first:last])
    put(index, delete=["d1", "d4"])
    return index


def by_hand(
    index: Index, n_tokens: int, seed: int = 3, ids: set[str] | None = None
) -> list[tuple[str, int]]:
    """Segments and numbers of blocks by the largest weighted share of any of their tokens."""
    profile = index.profile
    generator = torch.Generator().manual_seed(seed)
    queries = [0.1 * torch.randn(n_tokens, 2, 8, generator=generator).numpy() for _ in (0, 1)]
    rows = [
        (segment, entry, row)
        for segment, entry in index.snapshot.live.values()
        if ids is None or entry.id in ids
        for row in range(*entry.tokens)
    ]
    peaks = np.zeros(len(rows))
    for head in HEADS:
        hookpoint, decoder = profile.card.hookpoints[head.layer], profile.saes[head.layer].W_dec
        keys = np.zeros((len(rows), 8))
        for n, (segment, _, row) in enumerate(rows):
            for latent, step in zip(
                segment.ids[row, head.layer], segment.activations[row, head.layer], strict=True
            ):
                keys[n] += decoder[int(latent)].detach().numpy() * int(step)
        logits = queries[head.layer][:, head.head] @ keys.T * hookpoint.activation_scale * 0.5
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        peaks = np.maximum(peaks, (shares * head.weight / n_tokens).max(0))
    best: dict[tuple[str, int], float] = {}
    for peak, (segment, entry, row) in zip(peaks, rows, strict=True):
        block = (segment.name, entry.first_block + (row - entry.tokens[0]) // 64)
        best[block] = max(best.get(block, 0.0), peak)
    return sorted(best, key=lambda block: -best[block])


@pytest.mark.parametrize("n_tokens", [3, 150])  # more lanes than are gathered at once, too
def test_blocks_come_by_their_best_token(index: Index, n_tokens: int) -> None:
    expected = by_hand(index, n_tokens)
    assert len(expected) == 11
    found = best_blocks(index.snapshot, scorer_of(index.profile, n_tokens), 99)
    assert [tuple(block) for block in found] == expected
    few = best_blocks(index.snapshot, scorer_of(index.profile, n_tokens), 5)
    assert [tuple(block) for block in few] == expected[:5]


def test_only_allowed_documents(index: Index) -> None:
    ids = {"d0", "d2", "d5"}
    documents = index.snapshot.matching(lambda _: True)
    assert sum(map(len, documents.values())) == 6
    some = {
        name: [n for n in numbers if index.snapshot.segments[name].entries[n].id in ids]
        for name, numbers in documents.items()
    }
    scorer = scorer_of(index.profile, 4)
    found = best_blocks(index.snapshot, scorer, 99, some)
    assert [tuple(block) for block in found] == by_hand(index, 4, ids=ids)
    assert best_blocks(index.snapshot, scorer, 99, {}) == []
    assert best_blocks(index.snapshot, scorer, 0) == []


def test_alone_features_propose_them(index: Index) -> None:
    scorer, settings = scorer_of(index.profile, 4), CandidateSettings(cover=1, features_alone=3)
    view = index.view
    runs = find_candidates(view.snapshot, view.candidates, "x", scorer, settings, None, "features")
    assert runs == runs_of(view.snapshot, best_blocks(view.snapshot, scorer, 3))
    assert 1 <= sum(len(run) for run in runs) <= 3 * BLOCK_TOKENS
    only = {"d2"}
    documents = {
        segment.name: [segment.ordinals[i]]
        for i, (segment, _) in index.snapshot.live.items()
        if i in only
    }
    some = CandidateSettings(cover=0, features_alone=3)
    runs = find_candidates(view.snapshot, view.candidates, "x", scorer, some, documents, "features")
    assert {run.entry.id for run in runs} == only


def test_a_sample_stands_for_a_large_index() -> None:
    """Of an index of more blocks than are sampled; what matters is who comes first."""
    torch.manual_seed(1)
    bare = random_profile()
    profile = Profile(bare.card.model_copy(update={"heads": HEADS}), bare.saes)
    index = Index(None, profile)
    put(index, *(code(f"d{n}", "word " * 30, seed=n) for n in range(300)))
    found = best_blocks(index.snapshot, scorer_of(profile, 4), 30)
    assert len(set(found)) == 30
    assert len({tuple(b) for b in found} & set(by_hand(index, 4)[:30])) >= 24
