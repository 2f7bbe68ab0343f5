"""The blocks with the highest peaks, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.candidates import find_candidates
from s3_retriever.retrieval.full_scan import best_blocks
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.index import Index
from s3_retriever.storage.view import View
from s3_retriever.types import TokenRange
from tests.retrieval.texts import view_of
from tests.storage.conftest import code, random_profile

LAYOUT = AttentionLayout("llama", 2, n_heads=2, n_kv_heads=1, head_dim=8, scaling=0.5)
HEADS = (Head(layer=0, head=1, weight=2.0), Head(layer=1, head=0, weight=0.5))


def scorer_of(profile: Profile, n_tokens: int, seed: int = 3) -> AttentionScorer:
    generator = torch.Generator().manual_seed(seed)
    queries = {n: 0.1 * torch.randn(n_tokens, 2, 8, generator=generator) for n in (0, 1)}
    null = {n: torch.randn(2, 2, 8, generator=generator) for n in (0, 1)}
    lanes = [
        QuestionLanes(profile, LAYOUT, question)
        for question in (ProjectedQuestion("q", queries), ProjectedQuestion("N/A", null))
    ]
    return AttentionScorer(profile, *lanes)


@pytest.fixture
def profile() -> Profile:
    torch.manual_seed(0)
    bare = random_profile()
    return Profile(bare.card.model_copy(update={"heads": HEADS}), bare.saes)


@pytest.fixture
def view(profile: Profile) -> View:
    """Three segments; of 8 documents of 1 to 150 tokens, two are deleted."""
    index = Index(None, profile.card)
    lengths = [150, 64, 1, 65, 130, 7, 128, 90]
    documents = [
        code(f"d{n}", "word " * length, seed=n, name=f"d{n}") for n, length in enumerate(lengths)
    ]
    with index.writing():
        for first, last in ((0, 3), (3, 6), (6, 8)):
            index.commit(documents[first:last])
        index.commit([], delete=["d1", "d4"])
    return index.view


def blocks(ranges: list[TokenRange]) -> list[tuple[str, int]]:
    """Documents and numbers of blocks in them."""
    assert all(r.first % BLOCK_TOKENS == 0 and 0 < len(r) <= BLOCK_TOKENS for r in ranges)
    return [(r.doc_id, r.first // BLOCK_TOKENS) for r in ranges]


def by_hand(
    view: View, profile: Profile, n_tokens: int, seed: int = 3, ids: set[str] | None = None
) -> list[tuple[str, int]]:
    """Documents and numbers of blocks by the largest weighted share of any of their tokens."""
    generator = torch.Generator().manual_seed(seed)
    queries = [0.1 * torch.randn(n_tokens, 2, 8, generator=generator).numpy() for _ in (0, 1)]
    batch = view.tokens(
        [view.whole_document(i) for i in view.document_ids() if ids is None or i in ids]
    )
    peaks = np.zeros(len(batch))
    for head in HEADS:
        hookpoint, decoder = profile.card.hookpoints[head.layer], profile.saes[head.layer].W_dec
        keys = np.zeros((len(batch), 8))
        for n in range(len(batch)):
            for latent, step in zip(
                batch.ids[n, head.layer], batch.activations[n, head.layer], strict=True
            ):
                keys[n] += decoder[int(latent)].detach().numpy() * int(step)
        logits = queries[head.layer][:, head.head] @ keys.T * hookpoint.activation_scale * 0.5
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        peaks = np.maximum(peaks, (shares * head.weight / n_tokens).max(0))
    best: dict[tuple[str, int], float] = {}
    for tokens, rows in batch.parts():
        for number, peak in enumerate(peaks[rows]):
            block = (tokens.doc_id, number // 64)
            best[block] = max(best.get(block, 0.0), peak)
    return sorted(best, key=lambda block: -best[block])


@pytest.mark.parametrize("n_tokens", [3, 150])  # more lanes than are gathered at once, too
def test_blocks_come_by_their_best_token(view: View, profile: Profile, n_tokens: int) -> None:
    expected = by_hand(view, profile, n_tokens)
    assert len(expected) == 11
    found = best_blocks(view, scorer_of(profile, n_tokens), 99)
    assert blocks(found) == expected
    few = best_blocks(view, scorer_of(profile, n_tokens), 5)
    assert blocks(few) == expected[:5]


def test_only_allowed_documents(view: View, profile: Profile) -> None:
    ids = {"d0", "d2", "d5"}
    assert len(view.document_ids()) == 6
    scorer = scorer_of(profile, 4)
    found = best_blocks(view, scorer, 99, {"name": {"$in": sorted(ids)}})
    assert blocks(found) == by_hand(view, profile, 4, ids=ids)
    assert best_blocks(view, scorer, 99, {"name": "nobody"}) == []
    assert best_blocks(view, scorer, 0) == []


def test_alone_features_propose_them(view: View, profile: Profile) -> None:
    scorer, settings = scorer_of(profile, 4), CandidateSettings(cover=1, features_alone=3)
    found = find_candidates(view, view.search, ["x"], scorer, settings, None, look_up_words=False)
    assert found == view.merged(best_blocks(view, scorer, 3))
    assert 1 <= sum(len(tokens) for tokens in found) <= 3 * BLOCK_TOKENS
    some = CandidateSettings(cover=0, features_alone=3)
    found = find_candidates(
        view, view.search, ["x"], scorer, some, {"name": "d2"}, look_up_words=False
    )
    assert {tokens.doc_id for tokens in found} == {"d2"}


def test_a_sample_stands_for_a_large_index() -> None:
    """Of an index of more blocks than are sampled; what matters is who comes first."""
    torch.manual_seed(1)
    bare = random_profile()
    profile = Profile(bare.card.model_copy(update={"heads": HEADS}), bare.saes)
    view = view_of(*(code(f"d{n}", "word " * 30, seed=n) for n in range(300)))
    found = best_blocks(view, scorer_of(profile, 4), 30)
    assert len(set(found)) == 30
    assert len(set(blocks(found)) & set(by_hand(view, profile, 4)[:30])) >= 24
