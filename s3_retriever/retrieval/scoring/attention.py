"""Shares of the chosen heads' attention, from codes instead of keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s3_retriever.errors import ProfileError
from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.quoting import quoted
from s3_retriever.retrieval.lazy import lazy
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring.base import PartialScores, Totals, strongest
from s3_retriever.search.base import FeatureWeights
from s3_retriever.types import TokenBatch

__all__ = ["LANES", "AttentionScorer", "HeadScores", "KeyHead", "QuestionLanes"]

LANES = 64
"""Columns of a table that are gathered at once: 4,096 latents of it fit into a core's cache."""


@dataclass(frozen=True)
class KeyHead:
    """A coded key head that chosen heads read, and what one question asks of it."""

    hookpoint: int
    """Its number."""
    columns: slice
    """Of the key, and of the decoder."""
    heads: tuple[Head, ...]
    """The query heads that read it."""
    queries: Tensor
    """``(n_lanes, head_dim)``, scaled: a lane for every query token and head, heads innermost."""
    weights: Tensor
    """``(n_lanes,)`` the head's weight over the number of query tokens."""
    n_tokens: int
    """Of the question."""


class QuestionLanes:
    """What one question asks of every coded key head; made once for the null question."""

    def __init__(
        self, profile: Profile, layout: AttentionLayout, question: ProjectedQuestion
    ) -> None:
        """Gather the queries of the profile's heads by the keys they read.

        Args:
            profile: names the heads, holds the decoders and the query adapter.
            layout: the model's attention layout.
            question: what is asked.

        Raises:
            ProfileError: the profile names no heads.
        """
        if not profile.card.heads:
            raise ProfileError(
                f"profile {quoted(profile.card.name)} names no heads, so attention scoring is not "
                'available; use scoring="coactivation" or train it with --heads'
            )
        self.key_heads = _key_heads(profile, layout, question)
        self._profile = profile.on(next(iter(question.queries.values())).device)

    @lazy
    def tables(self) -> list[list[Tensor]]:
        """For each key head ``(n_latents, n_lanes)``, in pieces of at most :data:`LANES` lanes.

        What a step of activation of a latent adds to each logit.
        """
        return [self._table(head) for head in self.key_heads]

    def _table(self, head: KeyHead) -> list[Tensor]:
        rows = self._profile.saes[head.hookpoint].W_dec[:, head.columns]
        queries = head.queries * self._profile.card.hookpoints[head.hookpoint].activation_scale
        return [rows @ part.T for part in queries.chunk(-(-len(queries) // LANES))]


@dataclass(frozen=True)
class HeadScores:
    """One head over some tokens, alone."""

    head: Head
    hookpoint: int
    """Number of the hookpoint whose code it reads."""
    shares: np.ndarray
    """``(n_tokens,)`` attention over its average, mean of the question's tokens."""
    contributions: np.ndarray
    """``(n_tokens, k)`` what each active latent adds to the logits, weighted by attention."""


class AttentionScorer:
    """Scores are attention to the token over its average, less the null question's.

    The decoder's bias is left out: it moves all products of a query by the same amount, which the
    softmax takes away.
    """

    def __init__(
        self, profile: Profile, asked: QuestionLanes, null: QuestionLanes | None = None
    ) -> None:
        """Take what was asked.

        Args:
            profile: of both.
            asked: of the question.
            null: of a question without content, whose attention is subtracted.
        """
        self._profile = profile
        self._asked = asked
        signed = [(1, asked), *([(-1, null)] if null else [])]
        self._lanes = [
            (head, table, sign * head.weights)
            for sign, lanes in signed
            for head, table in zip(lanes.key_heads, lanes.tables, strict=True)
        ]

    def features(self, limit: int) -> FeatureWeights:
        """The latents that would raise a token's logits most, by the best query token."""
        best = [
            (head.hookpoint, (torch.cat(table, 1) * head.weights * head.n_tokens).amax(1))
            for head, table in zip(self._asked.key_heads, self._asked.tables, strict=True)
        ]
        return strongest(best, len(self._profile.card.hookpoints), limit)

    def partial(self, batch: TokenBatch) -> PartialScores:
        """Logits of tokens, a lane for every query token and head."""
        with torch.inference_mode():
            return PartialScores(len(batch), tuple(self.logits(batch.ids, batch.activations)))

    def finish(self, part: PartialScores, totals: Totals) -> np.ndarray:
        """``(n_tokens,)`` float32: attention to the token over its average, less the null's."""
        with torch.inference_mode():
            total = torch.zeros(part.n_tokens)
            at = 0
            for logits, (_, _, weights) in zip(part.logits, self._lanes, strict=True):
                lanes = slice(at, at + logits.shape[1])
                highest = totals.highest[lanes].to(logits.device)
                shares = (logits - highest).exp() / totals.sums[lanes].to(logits.device)
                total = total + (shares @ weights).cpu()
                at += logits.shape[1]
            scores: np.ndarray = (total * totals.n_tokens / self._weight).numpy()
            return scores

    def shares(self, ids: np.ndarray, activations: np.ndarray) -> Tensor:
        """The scores of tokens that are all there is, as a tensor on the CPU.

        A query adapter can be trained through it.

        Args:
            ids: ``(n, n_hookpoints, k)`` latents.
            activations: ``(n, n_hookpoints, k)`` uint8 steps.
        """
        return self._shares(len(ids), self.logits(ids, activations))

    def score_keys(self, keys: Sequence[Tensor]) -> np.ndarray:
        """The same from the keys themselves: what the autoencoders are measured against.

        Args:
            keys: for each hookpoint ``(n, d_in)``.

        Returns:
            ``(n,)`` float32.
        """
        logits = [
            keys[head.hookpoint][:, head.columns].to(head.queries.device) @ head.queries.T
            for head, _, _ in self._lanes
        ]
        return self._shares(len(keys[0]), logits).numpy()

    def logits(self, ids: np.ndarray, activations: np.ndarray) -> list[Tensor]:
        """What the softmax is taken of: ``(n, n_lanes)`` for each coded key head and question.

        Args:
            ids: ``(n, n_hookpoints, k)`` latents.
            activations: ``(n, n_hookpoints, k)`` uint8 steps.
        """
        return [
            _products(table, ids, activations, head.hookpoint) for head, table, _ in self._lanes
        ]

    def lanes(self) -> list[tuple[int, Tensor, Tensor]]:
        """What the question, without the null question, asks of each coded key head.

        Hookpoints' numbers, tables ``(n_latents, n_lanes)`` of what a step of activation adds to
        each of the first :meth:`logits`, and the lanes' weights ``(n_lanes,)``.
        """
        pairs = zip(self._asked.key_heads, self._asked.tables, strict=True)
        return [(head.hookpoint, torch.cat(table, 1), head.weights) for head, table in pairs]

    def by_head(self, batch: TokenBatch) -> list[HeadScores]:
        """Each head over tokens that are all there is, without the null question."""
        found = []
        with torch.inference_mode():
            for head, pieces in zip(self._asked.key_heads, self._asked.tables, strict=True):
                table = torch.cat(pieces, 1)
                latents = batch.ids[:, head.hookpoint].astype(np.int64)
                ids = torch.from_numpy(latents).to(table.device)
                steps = torch.from_numpy(batch.activations[:, head.hookpoint].astype(np.float32))
                for n, chosen in enumerate(head.heads):
                    rows = table[:, n :: len(head.heads)]  # (n_latents, n_question_tokens)
                    terms = rows[ids] * steps.to(table.device)[..., None]
                    shares = terms.sum(1).softmax(0)  # (n_tokens, n_question_tokens)
                    contributions = (terms * shares[:, None]).mean(-1)
                    over_average = shares.mean(1) * len(shares)
                    found.append(
                        HeadScores(
                            chosen,
                            head.hookpoint,
                            over_average.cpu().numpy(),
                            contributions.cpu().numpy(),
                        )
                    )
        return found

    @property
    def _weight(self) -> float:
        return sum(head.weight for head in self._profile.card.heads)

    def _shares(self, n: int, logits: Sequence[Tensor]) -> Tensor:
        """Sum the attention of all lanes to ``n`` tokens."""
        total = torch.zeros(n)
        for found, (_, _, weights) in zip(logits, self._lanes, strict=True):
            total = total + (found.softmax(0) @ weights).cpu()
        return total * n / self._weight


def _key_heads(
    profile: Profile, layout: AttentionLayout, question: ProjectedQuestion
) -> list[KeyHead]:
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
                    KeyHead(
                        index,
                        slice(position * dim, (position + 1) * dim),
                        tuple(heads.values()),
                        (queries * layout.scaling).flatten(0, 1),
                        torch.tensor(weights, device=queries.device).repeat(len(queries)),
                        len(queries),
                    )
                )
    return found


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
