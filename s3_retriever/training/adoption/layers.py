"""How far a scan should read: what each layer costs against what its heads find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from s3_retriever.training.adoption.ranking import HeadQuestion, Statistic
from s3_retriever.training.calibration.precision import r_precision
from s3_retriever.training.calibration.profiles import Position

__all__ = ["HeadChoice", "HeadRanking", "LayerTable"]

STATISTICS = tuple(Statistic(best, null) for null in (True, False) for best in (8, 4, 2, 1, 16))
"""Tried in this order; of equally good ones the first is taken."""
WORTH_OF_A_DOUBLING = 0.05
"""R-precision that reading twice as many layers must be worth."""
MOST_HEADS = 4
MOST_SITES = 2
"""Key heads that are coded: each takes as many bytes a token as another."""
_MORE_SITES = 0.01
"""R-precision that a second key head must be worth."""
CANDIDATES = 12
"""Heads that are best alone; among them a set is put together."""


@dataclass(frozen=True)
class HeadChoice:
    """Heads that are taken, and how their tokens make passages."""

    heads: tuple[Position, ...]
    """Best first."""
    statistic: Statistic


@dataclass(frozen=True)
class LayerTable:
    """What reading up to each layer is worth, and which one is taken."""

    precision: np.ndarray
    """``(n_layers, n_questions)``: R-precision of the heads up to a layer that were chosen on the
    other half of the questions."""
    last: int
    """The layer taken."""
    choice: HeadChoice
    """The heads up to it, chosen on all questions."""

    def rows(self, tokens_per_second: Mapping[int, float]) -> list[dict[str, Any]]:
        """Layers that find more than all before them, and the one taken."""
        means = self.precision.mean(1)
        rows = []
        for layer, mean in enumerate(means):
            if layer == self.last or layer == 0 or mean > means[:layer].max() + 1e-9:
                rows.append(
                    {
                        "layer": layer,
                        "tokens_per_second": round(tokens_per_second[layer]),
                        "r_precision": round(float(mean), 3),
                        "taken": layer == self.last,
                    }
                )
        return rows


class HeadRanking:
    """Chooses heads on some questions."""

    def __init__(
        self,
        questions: Sequence[HeadQuestion],
        n_kv_heads: int,
        among: Sequence[Position] = (),
    ) -> None:
        """Score every passage by every head, in every way that tokens can make passages.

        Args:
            questions: with the scores of their tokens.
            n_kv_heads: of the model.
            among: the heads to choose among; empty for all.
        """
        self._gold = [question.gold for question in questions]
        self._passages = {s: [q.passages(s) for q in questions] for s in STATISTICS}
        self._shape = questions[0].asked.shape[:2]
        self._group = self._shape[1] // n_kv_heads
        self._among = np.full(self._shape, not among)
        for head in among:
            self._among[head] = True

    @cached_property
    def alone(self) -> Mapping[Statistic, np.ndarray]:
        """``(n_questions, n_layers, n_heads)`` R-precision of every head alone, by statistic."""
        return {
            statistic: np.stack(
                [r_precision(p, gold) for p, gold in zip(passages, self._gold, strict=True)]
            )
            for statistic, passages in self._passages.items()
        }

    def table(self, seed: int = 0) -> LayerTable:
        """Weigh the layers: every doubling of a scan's time has to find so much more.

        Args:
            seed: of the halves.
        """
        n, n_layers = len(self._gold), self._shape[0]
        order = np.random.default_rng(seed).permutation(n)
        halves = [order[: n // 2], order[n // 2 :]]
        precision = np.zeros((n_layers, n))
        first = int(self._among.any(1).argmax())
        for seen, unseen in (halves, halves[::-1]):
            for layer in range(first, n_layers):
                choice = self.choose(seen, layer)
                precision[layer, unseen] = [self._together(choice, i) for i in unseen]
        worth = precision.mean(1) - WORTH_OF_A_DOUBLING * np.log2(np.arange(n_layers) + 1)
        last = first + int(worth[first:].argmax())
        return LayerTable(precision, last, self.choose(range(n), last))

    def choose(self, questions: Sequence[int] | np.ndarray, last: int) -> HeadChoice:
        """The best few heads up to a layer, by what they find together.

        Args:
            questions: numbers of those that are looked at.
            last: the last layer that is read.
        """
        means = {
            statistic: np.where(self._among, alone[questions].mean(0), -1.0)[: last + 1]
            for statistic, alone in self.alone.items()
        }
        statistic = max(STATISTICS, key=lambda s: np.sort(means[s].ravel())[-MOST_HEADS:].mean())
        mean = means[statistic]
        ranked = np.argsort(-mean.ravel().round(9), kind="stable")[:CANDIDATES]
        candidates = [
            (int(n) // mean.shape[1], int(n) % mean.shape[1]) for n in ranked if mean.flat[n] >= 0
        ]
        taken: list[Position] = []
        found = -1.0
        while len(taken) < MOST_HEADS:
            trials = [[*taken, head] for head in candidates if self._allowed(taken, head)]
            values = [
                float(
                    np.mean([self._together(HeadChoice(tuple(t), statistic), i) for i in questions])
                )
                for t in trials
            ]
            # a head more of the same keys costs nothing that is stored; other keys must be worth it
            worth = [
                v - _MORE_SITES * self._adds_a_site(taken, t[-1])
                for v, t in zip(values, trials, strict=True)
            ]
            if not values or max(worth) < found:
                break
            taken, found = trials[int(np.argmax(worth))], max(worth)
        return HeadChoice(tuple(taken), statistic)

    def _allowed(self, taken: Sequence[Position], head: Position) -> bool:
        sites = {(layer, h // self._group) for layer, h in [*taken, head]}
        return head not in taken and len(sites) <= MOST_SITES

    def _adds_a_site(self, taken: Sequence[Position], head: Position) -> bool:
        sites = {(layer, h // self._group) for layer, h in taken}
        return bool(sites) and (head[0], head[1] // self._group) not in sites

    def _together(self, choice: HeadChoice, question: int) -> float:
        passages = self._passages[choice.statistic][question]
        scores = sum(passages[head] for head in choice.heads)
        return float(r_precision(np.asarray(scores), self._gold[question]))
