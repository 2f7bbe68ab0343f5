"""Token scores, against the formulas written out with loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from s3_retriever.errors import ProfileError
from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.card import Head, Hookpoint, ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import QueryAdapter
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes
from s3_retriever.retrieval.scoring.base import TokenScorer, score_tokens
from s3_retriever.retrieval.scoring.coactivation import CoactivationScorer
from s3_retriever.settings import ScoringSettings
from s3_retriever.testing.legs import N_LATENTS, WordScorer
from s3_retriever.testing.scorers import CodeShape, TokenScorerContract
from s3_retriever.types import TokenBatch, TokenRange

DIM, LATENTS, K = 4, 16, 3
LAYOUT = AttentionLayout("llama", 3, n_heads=4, n_kv_heads=2, head_dim=DIM, scaling=0.5)
HEADS = (
    Head(layer=0, head=1, weight=2.0),
    Head(layer=0, head=3, weight=1.0),
    Head(layer=2, head=2, weight=0.5),
)


def random_saes() -> Profile:
    torch.manual_seed(0)
    hookpoints = [(0, (0, 1)), (2, (1,))]
    card = ProfileCard(
        name="t",
        model="t/t",
        family="llama",
        n_layers=3,
        n_heads=4,
        n_kv_heads=2,
        head_dim=DIM,
        tokenizer_sha256="0",
        k=K,
        n_latents=LATENTS,
        hookpoints=tuple(
            Hookpoint(
                layer=layer,
                kv_heads=kv,
                activation_scale=0.01 * (layer + 1),
                fvu=0,
                dead_fraction=0,
                sha256="0" * 64,
            )
            for layer, kv in hookpoints
        ),
        heads=HEADS,
    )
    saes = tuple(TopKSae(DIM * len(kv), LATENTS, K).requires_grad_(False) for _, kv in hookpoints)
    return Profile(card, saes)


@pytest.fixture
def profile() -> Profile:
    return random_saes()


def question(seed: int, n_tokens: int = 5) -> ProjectedQuestion:
    generator = torch.Generator().manual_seed(seed)
    queries = {layer: torch.randn(n_tokens, 4, DIM, generator=generator) * 3 for layer in (0, 2)}
    return ProjectedQuestion("q", queries)


@pytest.fixture
def codes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, LATENTS, (12, 2, K)).astype(np.uint16)
    return ids, rng.integers(0, 255, (12, 2, K)).astype(np.uint8)


def attention(
    profile: Profile, asked: ProjectedQuestion, null: ProjectedQuestion | None = None
) -> AttentionScorer:
    lanes = [QuestionLanes(profile, LAYOUT, q) for q in (asked, null) if q is not None]
    return AttentionScorer(profile, *lanes)


def score(scorer: TokenScorer, ids: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return score_tokens(scorer, [batch_of(ids, steps)])


def batch_of(ids: np.ndarray, steps: np.ndarray) -> TokenBatch:
    places = np.arange(len(ids), dtype=np.uint32)
    return TokenBatch((TokenRange("d", 0, len(ids)),), ids, steps, places, places + 1)


def shares(profile: Profile, asked: ProjectedQuestion, ids: np.ndarray, steps: np.ndarray):
    """Weighted mean attention of every token, by the definition."""
    total = np.zeros(len(ids))
    for head in HEADS:
        index = 0 if head.layer == 0 else 1
        hookpoint, sae = profile.card.hookpoints[index], profile.saes[index]
        position = hookpoint.kv_heads.index(head.head // LAYOUT.group)
        keys = []
        for token in range(len(ids)):
            key = np.zeros(DIM)
            for slot in range(K):
                row = sae.W_dec[int(ids[token, index, slot])].numpy()
                row = row[position * DIM : (position + 1) * DIM]
                key += row * float(steps[token, index, slot]) * hookpoint.activation_scale
            keys.append(key)
        queries = asked.queries[head.layer][:, head.head].numpy()
        for query in queries:
            logits = [float(query @ key) * LAYOUT.scaling for key in keys]
            top = max(logits)
            weights = [math.exp(v - top) for v in logits]
            total += head.weight * np.array(weights) / sum(weights) / len(queries)
    return total * len(ids) / sum(h.weight for h in HEADS)


def test_attention_is_the_heads_mean_share(profile: Profile, codes: tuple) -> None:
    asked = question(3)
    scores = score(attention(profile, asked), *codes)
    assert np.allclose(scores, shares(profile, asked, *codes), rtol=1e-4)
    assert scores.mean() == pytest.approx(1.0, rel=1e-4)  # in units of the average


def test_the_null_question_is_subtracted(profile: Profile, codes: tuple) -> None:
    asked, null = question(3), question(4, n_tokens=2)
    scores = score(attention(profile, asked, null), *codes)
    expected = shares(profile, asked, *codes) - shares(profile, null, *codes)
    assert np.allclose(scores, expected, atol=1e-4)
    same = score(attention(profile, asked, asked), *codes)
    assert np.allclose(same, 0, atol=1e-5)


def test_attention_features_are_what_a_query_would_like_best(profile: Profile) -> None:
    asked = question(5)
    features = attention(profile, asked).features(6)
    assert sum(len(f) for f in features) == 6
    by_hand = {}
    for latent in range(LATENTS):
        row = profile.saes[1].W_dec[latent].numpy()
        queries = asked.queries[2][:, 2].numpy()
        step = 0.03 * 0.5  # of an activation, in the logits
        by_hand[latent] = 0.5 * step * max(float(q @ row) for q in queries)
    for latent, weight in features[1].items():
        assert weight == pytest.approx(by_hand[latent], rel=1e-4)
        assert weight > 0


def test_a_profile_without_heads_says_what_to_do(profile: Profile) -> None:
    card = profile.card.model_copy(update={"heads": ()})
    with pytest.raises(ProfileError, match="coactivation"):
        attention(Profile(card, profile.saes), question(1))


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("stop_df", [None, 20])
def test_coactivation_is_equation_7(
    profile: Profile, codes: tuple, pooling: str, stop_df: int | None
) -> None:
    ids, steps = codes
    df = np.random.default_rng(2).integers(0, 40, (2, LATENTS))
    asked, n_tokens = question(6), 100
    settings = ScoringSettings(pooling=pooling, stop_df=stop_df)  # type: ignore[arg-type]
    scorer = CoactivationScorer(profile, LAYOUT, asked, settings, df, n_tokens)
    scores = score(scorer, ids, steps)

    expected = np.zeros(len(ids))
    for index, hookpoint in enumerate(profile.card.hookpoints):
        activation: dict[int, float] = {}
        for token in asked.queries[hookpoint.layer]:  # (n_heads, head_dim)
            means = [token[2 * g : 2 * g + 2].mean(0) for g in hookpoint.kv_heads]
            coded = profile.saes[index].encode(torch.cat(means)[None])
            for latent, a in zip(coded.ids[0].tolist(), coded.activations[0].tolist(), strict=True):
                before = activation.get(latent, 0.0)
                activation[latent] = before + a if pooling == "sum" else max(before, a)
        for token, latents in enumerate(ids[:, index]):
            for latent, step in zip(latents.tolist(), steps[token, index].tolist(), strict=True):
                frequent = stop_df is not None and df[index, latent] > stop_df
                if step and not frequent:
                    idf = math.log(n_tokens / (df[index, latent] + 1))
                    expected[token] += activation.get(latent, 0.0) * max(idf, 0.0)
    assert np.allclose(scores, expected, rtol=1e-4)
    assert scores.max() > 0


class _Contract(TokenScorerContract):
    @pytest.fixture(scope="class")
    def shape(self) -> CodeShape:
        return CodeShape(n_hookpoints=2, n_latents=LATENTS, k=K)


class TestAttention(_Contract):
    @pytest.fixture(scope="class")
    def scorer(self) -> TokenScorer:
        return attention(random_saes(), question(3))


class TestAttentionLessTheNullQuestions(_Contract):
    @pytest.fixture(scope="class")
    def scorer(self) -> TokenScorer:
        return attention(random_saes(), question(3, n_tokens=70), question(4, n_tokens=2))


class TestCoactivation(_Contract):
    @pytest.fixture(scope="class")
    def scorer(self) -> TokenScorer:
        df = np.random.default_rng(2).integers(0, 40, (2, LATENTS))
        return CoactivationScorer(random_saes(), LAYOUT, question(6), ScoringSettings(), df, 100)


class TestWords(TokenScorerContract):
    """The scorer that legs are tried with."""

    @pytest.fixture(scope="class")
    def scorer(self) -> TokenScorer:
        words = " ".join(f"w{n}" for n in range(300))
        return WordScorer(words)

    @pytest.fixture(scope="class")
    def shape(self) -> CodeShape:
        return CodeShape(n_hookpoints=1, n_latents=N_LATENTS, k=1)


def test_heads_weighted_shares_add_up_to_the_scorers(profile: Profile, codes: tuple) -> None:
    """With a query adapter that is no identity, each head apart sees what all see together."""
    generator = torch.Generator().manual_seed(7)
    shape = {"down": (3, DIM, 2), "up": (3, 2, DIM), "bias": (3, DIM)}
    adapter = QueryAdapter(
        **{name: torch.randn(size, generator=generator) for name, size in shape.items()}
    )
    adapted = replace(profile, adapter=adapter)
    asked = question(3)
    batch = batch_of(*codes)
    heads = attention(adapted, asked, question(4)).by_head(batch)
    assert {found.head for found in heads} == set(HEADS)
    weight = sum(head.weight for head in HEADS)
    together = sum(found.head.weight * found.shares for found in heads) / weight
    np.testing.assert_allclose(together, score(attention(adapted, asked), *codes), rtol=1e-4)
    plain = score(attention(profile, asked), *codes)
    assert not np.allclose(together, plain, rtol=0.1)  # the adapter matters
    for found in heads:
        assert found.shares.mean() == pytest.approx(1, rel=1e-4)
        assert found.contributions.shape == (len(batch), K)


def test_autoencoders_elsewhere_are_copied_once(profile: Profile) -> None:
    """Where queries are, tables are made; not by moving what others read."""
    there = torch.device("meta")
    copied = profile.on(there)
    assert copied is profile.on(there) is not profile
    assert {sae.W_dec.device for sae in copied.saes} == {there}
    assert profile.on(torch.device("cpu")) is profile
    asked = ProjectedQuestion("q", {n: q.to(there) for n, q in question(1).queries.items()})
    (table, *_) = QuestionLanes(profile, LAYOUT, asked).tables[0]
    assert table.device == there
    assert profile.saes[0].W_dec.device == torch.device("cpu")
