"""Eq. 6, 7 and 10 of S3-Attention: IDF-weighted votes of features that question and token share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring.base import PartialScores, Totals, strongest
from s3_retriever.search.base import FeatureWeights
from s3_retriever.settings import ScoringSettings
from s3_retriever.types import TokenBatch

__all__ = ["CoactivationScorer"]


class CoactivationScorer:
    """Eq. 7 as published (arXiv 2601.17702). Tokens do not share anything: votes just add up."""

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
            queries = question.queries[hookpoint.layer]  # (n_tokens, n_heads, head_dim)
            by_group = queries.unflatten(1, (layout.n_kv_heads, layout.group)).mean(2)
            x = by_group[:, list(hookpoint.kv_heads)].flatten(1)
            pooled = _pooled(profile.on(x.device).saes[index], x, settings.pooling)
            idf = np.log(max(n_tokens, 1) / (df[index] + 1.0))
            weights = pooled * idf
            if settings.stop_df is not None:
                weights[df[index] > settings.stop_df] = 0
            self._table[index] = np.maximum(weights, 0)

    def features(self, limit: int) -> FeatureWeights:
        """The question's features by their weight."""
        best = [(i, torch.from_numpy(row)) for i, row in enumerate(self._table)]
        return strongest(best, len(self._table), limit)

    def partial(self, batch: TokenBatch) -> PartialScores:
        """The votes for tokens.

        A token's own activation does not enter Eq. 7, except that an inactive latent (0) is not a
        feature of it.
        """
        total = np.zeros(len(batch), dtype=np.float32)
        for index, row in enumerate(self._table):
            active = batch.activations[:, index] > 0
            total += np.where(active, row[batch.ids[:, index]], 0).sum(1)
        return PartialScores(len(batch), (torch.from_numpy(total)[:, None],))

    def finish(self, part: PartialScores, totals: Totals) -> np.ndarray:
        """``(n_tokens,)`` float32: the votes, whatever others got."""
        scores: np.ndarray = part.logits[0][:, 0].numpy()
        return scores


def _pooled(sae: TopKSae, x: Tensor, pooling: Literal["max", "sum"]) -> np.ndarray:
    """``(n_latents,)``: each latent's activation over all tokens ``(n_tokens, d_in)``."""
    with torch.inference_mode():
        codes = sae.encode(x)
        dense = torch.zeros(len(x), len(sae.W_dec), device=x.device)
        dense.scatter_(1, codes.ids, codes.activations)
        pooled = dense.amax(0) if pooling == "max" else dense.sum(0)
        return pooled.cpu().numpy()
