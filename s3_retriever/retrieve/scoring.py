"""Scores of single tokens from their sparse codes: two named ways.

``attention``: what the chosen heads would attend to. A token's key is rebuilt from its code and
multiplied with the question's queries; a softmax over the positions for each query token makes it
a share of attention. This is what works on small models.

``coactivation``: Eq. 7 of S3-Attention (arXiv 2601.17702) as published. The question's queries
are coded by the *keys'* autoencoder, and a token scores by the features it shares with them. On
SmolLM2-135M it is at chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s3_retriever.config import ScoringSettings
from s3_retriever.errors import ProfileError
from s3_retriever.generator.families import AttentionLayout
from s3_retriever.profile import Hookpoint, Profile
from s3_retriever.retrieve.question import ProjectedQuestion

__all__ = ["AttentionScorer", "CoactivationScorer", "FeatureWeights"]

FeatureWeights = Sequence[Mapping[int, float]]
"""For each hookpoint, weights of latents; what the candidate index looks up."""


class AttentionScorer:
    """Shares of the chosen heads' attention, from codes instead of keys."""

    def __init__(
        self,
        profile: Profile,
        layout: AttentionLayout,
        question: ProjectedQuestion,
        null_question: ProjectedQuestion | None,
    ) -> None:
        """Gather the queries of the profile's heads by the keys they read.

        Args:
            profile: names the heads and holds the decoders.
            layout: the model's attention layout.
            question: what is asked.
            null_question: a question without content, whose attention is subtracted.

        Raises:
            ProfileError: the profile names no heads.
        """
        if not profile.card.heads:
            raise ProfileError(
                f"profile {profile.card.name!r} names no heads, so attention scoring is not "
                'available; use scoring="coactivation" or train it with --heads'
            )
        self._profile = profile
        self._layout = layout
        self._questions = [question] if null_question is None else [question, null_question]

    def features(self, limit: int) -> FeatureWeights:
        """The latents that would raise a token's score most, by the best query token."""
        best = []
        for index, head_dims, queries, weights in self._slices():
            rows = self._profile.saes[index].W_dec[:, head_dims].to(queries[0].device)
            products = torch.einsum("thd,fd->fth", queries[0], rows).amax(1)
            best.append((index, (products * weights).amax(1)))
        return _strongest(best, len(self._profile.card.hookpoints), limit)

    def score(self, ids: np.ndarray, activations: np.ndarray) -> np.ndarray:
        """Score tokens by their codes.

        Args:
            ids: ``(n, n_hookpoints, k)`` latents.
            activations: ``(n, n_hookpoints, k)`` uint8 steps.

        Returns:
            ``(n,)`` float32: attention to the token over its average, less the null question's.
        """
        with torch.inference_mode():
            return self.shares(ids, activations).numpy()

    def shares(self, ids: np.ndarray, activations: np.ndarray) -> Tensor:
        """:meth:`score` as a tensor on the CPU, through which a query adapter can be trained."""

        def decoded(index: int, columns: slice, device: torch.device) -> Tensor:
            rows = self._profile.saes[index].W_dec[:, columns].to(device)
            return _decode(rows, ids[:, index], activations[:, index], self._hookpoint(index))

        return self._shares(len(ids), decoded)

    def score_keys(self, keys: Sequence[Tensor]) -> np.ndarray:
        """The same from the keys themselves: what the autoencoders are measured against.

        Args:
            keys: for each hookpoint ``(n, d_in)``.

        Returns:
            ``(n,)`` float32, as :meth:`score`.
        """

        def exact(index: int, columns: slice, device: torch.device) -> Tensor:
            return keys[index][:, columns].to(device)

        return self._shares(len(keys[0]), exact).numpy()

    def _shares(self, n: int, keys: Callable[[int, slice, torch.device], Tensor]) -> Tensor:
        """Sum the heads' attention to ``n`` tokens over ``keys(hookpoint, columns, device)``."""
        total = torch.zeros(n)
        weight_sum = sum(h.weight for h in self._profile.card.heads)
        for index, head_dims, queries, weights in self._slices():
            found = keys(index, head_dims, queries[0].device)
            shares = [self._attention(q, found) @ weights for q in queries]
            total = total + shares[0].cpu()
            if len(shares) > 1:
                total = total - shares[1].cpu()
        return total * n / weight_sum

    def _attention(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Mean share of attention that each key gets: ``(n_keys, n_heads)``."""
        logits = torch.einsum("thd,nd->htn", queries, keys) * self._layout.scaling
        return logits.softmax(-1).mean(1).T

    def _hookpoint(self, index: int) -> Hookpoint:
        return self._profile.card.hookpoints[index]

    def _slices(self) -> list[tuple[int, slice, list[Tensor], Tensor]]:
        """One entry for each coded key head that a chosen head reads.

        The hookpoint's number, the decoder's columns, the queries of each question
        ``(n_tokens, n_heads, head_dim)`` and the heads' weights.
        """
        found = []
        dim = self._layout.head_dim
        for index, hookpoint in enumerate(self._profile.card.hookpoints):
            for position, kv_head in enumerate(hookpoint.kv_heads):
                heads = {
                    n: h
                    for n, h in enumerate(self._profile.card.heads)
                    if h.layer == hookpoint.layer and h.head // self._layout.group == kv_head
                }
                if heads:
                    numbers = [h.head for h in heads.values()]
                    queries = [q.queries[hookpoint.layer][:, numbers] for q in self._questions]
                    if self._profile.adapter is not None:
                        queries = [self._profile.adapter(q, list(heads)) for q in queries]
                    weights = torch.tensor(
                        [h.weight for h in heads.values()], device=queries[0].device
                    )
                    columns = slice(position * dim, (position + 1) * dim)
                    found.append((index, columns, queries, weights))
        return found


class CoactivationScorer:
    """Eq. 6, 7 and 10: IDF-weighted votes of the features that question and token share."""

    def __init__(
        self,
        profile: Profile,
        layout: AttentionLayout,
        question: ProjectedQuestion,
        settings: ScoringSettings,
        df: np.ndarray,
        n_tokens: int,
    ) -> None:
        """Code the question and weigh its features.

        Args:
            profile: holds the autoencoders.
            layout: the model's attention layout.
            question: what is asked.
            settings: pooling over the question's tokens and the stop-feature limit.
            df: ``(n_hookpoints, n_latents)`` tokens of the index at which each latent is active.
            n_tokens: tokens of the index.
        """
        self._table = np.zeros(df.shape, dtype=np.float32)  # a_f x w_f, 0 for unused latents
        for index, hookpoint in enumerate(profile.card.hookpoints):
            pooled = self._pooled(profile, layout, question, settings, index, hookpoint)
            idf = np.log(max(n_tokens, 1) / (df[index] + 1.0))
            weights = pooled * idf
            if settings.stop_df is not None:
                weights[df[index] > settings.stop_df] = 0
            self._table[index] = np.maximum(weights, 0)

    @staticmethod
    def _pooled(
        profile: Profile,
        layout: AttentionLayout,
        question: ProjectedQuestion,
        settings: ScoringSettings,
        index: int,
        hookpoint: Hookpoint,
    ) -> np.ndarray:
        """``(n_latents,)``: each latent's activation over all tokens of the question."""
        queries = question.queries[hookpoint.layer]  # (n_tokens, n_heads, head_dim)
        by_group = queries.unflatten(1, (layout.n_kv_heads, layout.group)).mean(2)
        x = by_group[:, list(hookpoint.kv_heads)].flatten(1)
        with torch.inference_mode():
            codes = profile.saes[index].encode(x)
        dense = torch.zeros(len(x), profile.card.n_latents, device=x.device)
        dense.scatter_(1, codes.ids, codes.activations)
        pooled = dense.amax(0) if settings.pooling == "max" else dense.sum(0)
        return pooled.cpu().numpy()

    def features(self, limit: int) -> FeatureWeights:
        """The question's features by their weight."""
        best = [(i, torch.from_numpy(row)) for i, row in enumerate(self._table)]
        return _strongest(best, len(self._table), limit)

    def score(self, ids: np.ndarray, activations: np.ndarray) -> np.ndarray:
        """``(n,)`` float32 scores of tokens with latents ``ids`` ``(n, n_hookpoints, k)``.

        A token's own activation does not enter Eq. 7, except that an inactive latent (0) is not a
        feature of it.
        """
        total = np.zeros(len(ids), dtype=np.float32)
        for index, row in enumerate(self._table):
            total += np.where(activations[:, index] > 0, row[ids[:, index]], 0).sum(1)
        return total


def _decode(rows: Tensor, ids: np.ndarray, activations: np.ndarray, hookpoint: Hookpoint) -> Tensor:
    """Keys ``(n, d)`` rebuilt from codes ``(n, k)``.

    The decoder's bias is left out: it moves all products of a query by the same amount, which the
    softmax takes away.
    """
    bags = torch.from_numpy(ids.astype(np.int64)).to(rows.device)
    steps = torch.from_numpy(activations.astype(np.float32)).to(rows.device)
    strengths = steps * hookpoint.activation_scale
    return functional.embedding_bag(bags, rows, per_sample_weights=strengths, mode="sum")


def _strongest(best: Sequence[tuple[int, Tensor]], n_hookpoints: int, limit: int) -> FeatureWeights:
    """The ``limit`` largest positive weights over all hookpoints."""
    found: list[dict[int, float]] = [{} for _ in range(n_hookpoints)]
    if best:
        stacked = torch.stack([weights for _, weights in best])
        values, flat = stacked.flatten().topk(min(limit, stacked.numel()))
        for value, position in zip(values.tolist(), flat.tolist(), strict=True):
            if value > 0:
                row, latent = divmod(position, stacked.shape[1])
                index = best[row][0]
                found[index][latent] = max(value, found[index].get(latent, 0.0))
    return found
