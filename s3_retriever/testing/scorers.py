"""The contract suite of :class:`~s3_retriever.retrieval.scoring.base.TokenScorer`.

Inherit from it and give it its fixtures::

    class TestMyScorer(TokenScorerContract):
        @pytest.fixture(scope="class")
        def scorer(self) -> TokenScorer:
            return MyScorer(...)

        @pytest.fixture(scope="class")
        def shape(self) -> CodeShape:
            return CodeShape(n_hookpoints=2, n_latents=64, k=4)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.retrieval.scoring.base import TokenScorer, merge_totals, score_tokens
from s3_retriever.types import TokenBatch, TokenRange

__all__ = ["CodeShape", "TokenScorerContract", "random_batch"]


class CodeShape(NamedTuple):
    """What a profile's codes look like."""

    n_hookpoints: int
    n_latents: int
    k: int
    """Latents of a token and hookpoint."""


def random_batch(shape: CodeShape, n_tokens: int, seed: int) -> TokenBatch:
    """Tokens of one document with random codes; some latents are off (0 steps).

    Example:
        >>> random_batch(CodeShape(2, 64, 4), n_tokens=5, seed=0).ids.shape
        (5, 2, 4)
    """
    rng = np.random.default_rng(seed)
    size = (n_tokens, shape.n_hookpoints, shape.k)
    starts = 5 * np.arange(n_tokens, dtype=np.uint32)
    return TokenBatch(
        (TokenRange("d", 0, n_tokens),),
        rng.integers(0, shape.n_latents, size).astype(np.uint16),
        rng.integers(0, 255, size).astype(np.uint8) * rng.integers(0, 2, size, dtype=np.uint8),
        starts,
        starts + 5,
    )


def _rows(batch: TokenBatch, first: int, last: int) -> TokenBatch:
    """Some tokens of a batch of one range."""
    rows = slice(first, last)
    return TokenBatch(
        (TokenRange("d", first, last),),
        batch.ids[rows],
        batch.activations[rows],
        batch.starts[rows],
        batch.ends[rows],
    )


def _cut(batch: TokenBatch, cuts: Sequence[int]) -> list[TokenBatch]:
    """A batch in parts; where two cuts meet, one of them is empty."""
    edges = [0, *sorted(min(cut, len(batch)) for cut in cuts), len(batch)]
    return [_rows(batch, a, b) for a, b in itertools.pairwise(edges)]


def _near(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding: what attention is subtracted from is as large as what is."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found, expected, rtol=1e-4, atol=1e-4 * (1 + abs(expected).max(initial=0))
    )


_cuts = st.lists(st.integers(0, 40), min_size=1, max_size=4)
_sizes = st.integers(1, 40)
_seeds = st.integers(0, 99)

_inherited = settings(suppress_health_check=(HealthCheck.differing_executors,))
"""Which hypothesis takes for a mistake: several classes run the same test."""


class TokenScorerContract:
    """What every :class:`~s3_retriever.retrieval.scoring.base.TokenScorer` has to pass."""

    @pytest.fixture(scope="class")
    def scorer(self) -> TokenScorer:
        """Of any question that has features."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def shape(self) -> CodeShape:
        """Of the codes that it scores."""
        raise NotImplementedError

    @_inherited
    @given(n=_sizes, seed=_seeds)
    def test_a_score_a_token(
        self, scorer: TokenScorer, shape: CodeShape, n: int, seed: int
    ) -> None:
        """Finite numbers, the same each time, and the batch stays as it was."""
        batch = random_batch(shape, n, seed)
        scores = score_tokens(scorer, [batch])
        assert (scores.dtype, scores.shape) == (np.dtype(np.float32), (n,))
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(score_tokens(scorer, [batch]), scores)
        untouched = random_batch(shape, n, seed)
        np.testing.assert_array_equal(batch.ids, untouched.ids)
        np.testing.assert_array_equal(batch.activations, untouched.activations)

    def test_it_tells_tokens_apart(self, scorer: TokenScorer, shape: CodeShape) -> None:
        """Random codes do not all score the same."""
        assert len(set(score_tokens(scorer, [random_batch(shape, 200, 0)]).tolist())) > 1

    @_inherited
    @given(n=_sizes, seed=_seeds, cuts=_cuts)
    def test_parts_score_as_the_whole(
        self, scorer: TokenScorer, shape: CodeShape, n: int, seed: int, cuts: list[int]
    ) -> None:
        """In halves, or in any parts, empty ones among them."""
        whole = random_batch(shape, n, seed)
        expected = score_tokens(scorer, [whole])
        half = n // 2
        _near(score_tokens(scorer, [_rows(whole, 0, half), _rows(whole, half, n)]), expected)
        _near(score_tokens(scorer, _cut(whole, cuts)), expected)

    @_inherited
    @given(n=_sizes, seed=_seeds, cuts=_cuts, data=st.data())
    def test_the_order_of_parts_does_not_matter(
        self,
        scorer: TokenScorer,
        shape: CodeShape,
        n: int,
        seed: int,
        cuts: list[int],
        data: st.DataObject,
    ) -> None:
        """As shards do: each scores its part, hears of the others' totals, and finishes alone."""
        whole = random_batch(shape, n, seed)
        expected = score_tokens(scorer, [whole])
        shards = data.draw(st.permutations(_cut(whole, cuts)))
        parts = [scorer.partial(shard) for shard in shards]
        left = merge_totals([part.totals for part in parts])
        nested = merge_totals([parts[0].totals, merge_totals([p.totals for p in parts[1:]])])
        assert left.n_tokens == nested.n_tokens == n
        for totals in (left, nested):
            for shard, part in zip(shards, parts, strict=True):
                (tokens,) = shard.ranges
                _near(scorer.finish(part, totals), expected[tokens.first : tokens.last])

    def test_no_tokens(self, scorer: TokenScorer, shape: CodeShape) -> None:
        """No batch, an empty batch, and one beside others."""
        empty, some = random_batch(shape, 0, 0), random_batch(shape, 7, 1)
        assert score_tokens(scorer, []).shape == (0,)
        assert score_tokens(scorer, [empty]).shape == (0,)
        part = scorer.partial(empty)
        assert (part.n_tokens, part.totals.n_tokens) == (0, 0)
        alone = scorer.partial(some)
        assert scorer.finish(part, alone.totals).shape == (0,)
        totals = merge_totals([part.totals, alone.totals])
        _near(scorer.finish(alone, totals), score_tokens(scorer, [some]))

    @pytest.mark.parametrize("limit", [1, 5, 1_000_000])
    def test_features_are_positive_and_bounded(
        self, scorer: TokenScorer, shape: CodeShape, limit: int
    ) -> None:
        """At most so many, for every hookpoint a mapping of its latents."""
        found = scorer.features(limit)
        assert len(found) == shape.n_hookpoints
        weights = [weight for latents in found for weight in latents.values()]
        assert 1 <= len(weights) <= limit
        assert all(np.isfinite(weight) and weight > 0 for weight in weights)
        latents = [latent for latents in found for latent in latents]
        assert all(0 <= latent < shape.n_latents for latent in latents)

    def test_fewer_features_are_the_strongest(self, scorer: TokenScorer) -> None:
        """What is left out weighs no more than what is kept."""
        every, few = scorer.features(1_000_000), scorer.features(3)
        kept = [weight for latents in few for weight in latents.values()]
        for latents, some in zip(every, few, strict=True):
            assert some.items() <= latents.items()
            assert all(w <= min(kept) for n, w in latents.items() if n not in some)
