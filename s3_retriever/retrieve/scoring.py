"""Scores of single tokens from their sparse codes: two named ways.

``attention``: what the chosen heads would attend to. The key that a token's code stands for is a
sum of decoder rows, so its product with a query is the sum of the rows' products, which are taken
once for a question; a softmax over the positions for each query token makes it a share of
attention. This is what works on small models.

``coactivation``: Eq. 7 of S3-Attention (arXiv 2601.17702) as published. The question's queries
are coded by the *keys'* autoencoder, and a token scores by the features it shares with them. On
SmolLM2-135M it is at chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s3_retriever.config import ScoringSettings
from s3_retriever.errors import ProfileError
from s3_retriever.generator.families import AttentionLayout
from s3_retriever.profile import Hookpoint, Profile
from s3_retriever.retrieve.question import ProjectedQuestion

__all__ = ["LANES", "AttentionScorer", "CoactivationScorer", "FeatureWeights", "Scorer"]

FeatureWeights = Sequence[Mapping[int, float]]
"""For each hookpoint, weights of latents; what the candidate index looks up."""

LANES = 64
"""Columns of a table that are gathered at once: 4,096 latents of it fit into a core's cache."""


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
        self._asked = _key_heads(profile, layout, question)
        self._null = _key_heads(profile, layout, null_question) if null_question else []

    def features(self, limit: int) -> FeatureWeights:
        """The latents that would raise a token's logits most, by the best query token."""
        best = [
            (head.hookpoint, (torch.cat(table, 1) * head.weights * head.n_tokens).amax(1))
            for head, table in zip(self._asked, self._asked_tables, strict=True)
        ]
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
        return self._shares(len(ids), self.logits(ids, activations))

    def score_keys(self, keys: Sequence[Tensor]) -> np.ndarray:
        """The same from the keys themselves: what the autoencoders are measured against.

        Args:
            keys: for each hookpoint ``(n, d_in)``.

        Returns:
            ``(n,)`` float32, as :meth:`score`.
        """
        logits = (
            (keys[h.hookpoint][:, h.columns].to(h.queries.device) @ h.queries.T, sign * h.weights)
            for sign, h in self._signed
        )
        return self._shares(len(keys[0]), logits).numpy()

    def logits(self, ids: np.ndarray, activations: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """What the softmax is taken of, for each coded key head and question.

        The decoder's bias is left out: it moves all products of a query by the same amount, which
        the softmax takes away.

        Args:
            ids: ``(n, n_hookpoints, k)`` latents.
            activations: ``(n, n_hookpoints, k)`` uint8 steps.

        Yields:
            ``(n, n_lanes)`` logits, a lane for every query token and head, and the lanes' weights
            ``(n_lanes,)``, negative for the null question.
        """
        tables = [*self._asked_tables, *self._null_tables]
        for (sign, head), table in zip(self._signed, tables, strict=True):
            yield _products(table, ids, activations, head.hookpoint), sign * head.weights

    def asked(self) -> list[tuple[int, Tensor]]:
        """What the question, without the null question, asks of each coded key head.

        Hookpoints' numbers, and tables ``(n_latents, n_lanes)`` of what a step of activation adds
        to each of the first :meth:`logits`.
        """
        pairs = zip(self._asked, self._asked_tables, strict=True)
        return [(head.hookpoint, torch.cat(table, 1)) for head, table in pairs]

    def _shares(self, n: int, logits: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Sum the attention of all lanes to ``n`` tokens."""
        total = torch.zeros(n)
        for found, weights in logits:
            total = total + (found.softmax(0) @ weights).cpu()
        return total * n / sum(h.weight for h in self._profile.card.heads)

    @property
    def _signed(self) -> list[tuple[int, _KeyHead]]:
        return [*((1, h) for h in self._asked), *((-1, h) for h in self._null)]

    @cached_property
    def _asked_tables(self) -> list[list[Tensor]]:
        return [_table(self._profile, head) for head in self._asked]

    @cached_property
    def _null_tables(self) -> list[list[Tensor]]:
        return [_table(self._profile, head) for head in self._null]


@dataclass(frozen=True)
class _KeyHead:
    """A coded key head that chosen heads read, and what one question asks of it."""

    hookpoint: int
    columns: slice
    """Of the key, and of the decoder."""
    queries: Tensor
    """``(n_lanes, head_dim)``, scaled: a lane for every query token and head."""
    weights: Tensor
    """``(n_lanes,)`` the head's weight over the number of query tokens."""
    n_tokens: int
    """Of the question."""


def _key_heads(
    profile: Profile, layout: AttentionLayout, question: ProjectedQuestion
) -> list[_KeyHead]:
    found = []
    dim = layout.head_dim
    for index, hookpoint in enumerate(profile.card.hookpoints):
        for position, kv_head in enumerate(hookpoint.kv_heads):
            heads = {
                n: h
                for n, h in enumerate(profile.card.heads)
                if h.layer == hookpoint.layer and h.head // layout.group == kv_head
            }
            if heads:
                numbers = [h.head for h in heads.values()]
                queries = question.queries[hookpoint.layer][:, numbers]
                if profile.adapter is not None:
                    queries = profile.adapter(queries, list(heads))
                weights = [h.weight / len(queries) for h in heads.values()]
                found.append(
                    _KeyHead(
                        index,
                        slice(position * dim, (position + 1) * dim),
                        (queries * layout.scaling).flatten(0, 1),
                        torch.tensor(weights, device=queries.device).repeat(len(queries)),
                        len(queries),
                    )
                )
    return found


def _table(profile: Profile, head: _KeyHead) -> list[Tensor]:
    """``(n_latents, n_lanes)`` in pieces: what a step of activation adds to each logit."""
    rows = profile.saes[head.hookpoint].W_dec[:, head.columns].to(head.queries.device)
    queries = head.queries * profile.card.hookpoints[head.hookpoint].activation_scale
    return [rows @ part.T for part in queries.chunk(-(-len(queries) // LANES))]


def _products(
    table: Sequence[Tensor], ids: np.ndarray, activations: np.ndarray, hookpoint: int
) -> Tensor:
    """``(n, n_lanes)`` logits of tokens: sums of rows of the table."""
    bags = torch.from_numpy(ids[:, hookpoint].astype(np.int32)).to(table[0].device)
    steps = torch.from_numpy(activations[:, hookpoint].astype(np.float32)).to(table[0].device)
    found = [
        functional.embedding_bag(bags, part, per_sample_weights=steps, mode="sum") for part in table
    ]
    return torch.cat(found, 1) if len(found) > 1 else found[0]


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


Scorer = AttentionScorer | CoactivationScorer


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
