"""A query adapter by self-distillation: codes learn to rank as the model does when it reads.

The teacher is the model's own clamped likelihood of a question given each passage; the student
is attention scoring over stored codes, with low-rank maps of the queries. Nothing is labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.errors import InputError
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import QueryAdapter
from s3_retriever.retrieval.query import ProjectedQuestion
from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes
from s3_retriever.training.calibration.distillation_examples import DistillationExample
from s3_retriever.training.calibration.precision import r_precision

__all__ = ["Distillation", "distill"]

RANK = 8
"""Of the maps."""
TEMPERATURE = 0.15
"""Nats a token: the teacher's gains over this are the logits of its distribution."""
LEARNING_RATE = 1e-3
BATCH = 8
"""Questions a step."""
EPOCHS = 12
HELD_OUT = 0.25
"""Share of the questions that are not learned from: half of them choose the epoch, the others say
what the adapter is worth."""


@dataclass(frozen=True)
class Distillation:
    """An adapter and what it was worth on questions that had no part in making it."""

    adapter: QueryAdapter
    epoch: int
    """The one kept: with the lowest of :attr:`losses`; 0 is before training."""
    choosing: tuple[int, ...]
    """Numbers of the held-out examples that chose the epoch."""
    reported: tuple[int, ...]
    """Numbers of the other held-out examples."""
    losses: tuple[float, ...]
    """Cross-entropy to the teacher in nats on those that choose, before training and after each
    epoch."""
    before: np.ndarray
    """``(n_reported,)`` R-precision of gold passages without the adapter."""
    after: np.ndarray
    """The same with it."""
    teacher: np.ndarray
    """The same of the teacher."""

    @property
    def lead(self) -> dict[str, float]:
        """R-precision with the adapter less without it, paired; 95% interval."""
        return bootstrap((self.after - self.before).tolist())

    def record(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        figures = {"before": self.before, "after": self.after, "teacher": self.teacher}
        return {
            "epoch": self.epoch,
            "losses": list(self.losses),
            "n_held_out": len(self.choosing) + len(self.reported),
            "n_reported": len(self.reported),
            "r_precision": {name: bootstrap(v.tolist()) for name, v in figures.items()},
            "lead": self.lead,
        }


def distill(
    profile: Profile,
    layout: AttentionLayout,
    examples: Sequence[DistillationExample],
    null_question: ProjectedQuestion | None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
) -> Distillation:
    """Train a query adapter, and keep it as it was when it ranked most as the teacher does.

    Half of the held-out questions choose the epoch. What the adapter is worth is said of the other
    half: on those that chose it, the best of thirteen is better than it is.

    Args:
        profile: its heads are adapted; an adapter it has is not built on.
        layout: of the model.
        examples: of :func:`~.distillation_examples.distillation_examples`.
        null_question: as retrieval will use it.
        seed: of the split, the order and the initial maps.
        on_epoch: called with the epochs done and their total.

    Raises:
        InputError: fewer than 8 examples.
        ProfileError: the profile names no heads.
    """
    n = len(examples)
    if n < 8:
        raise InputError(f"questions to learn from: {n}; at least 8 are needed, better hundreds")
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    held, learned = np.split(order, [max(2, int(HELD_OUT * n))])
    choosing, reported = np.array_split(held, 2)
    adapter = QueryAdapter.identity(
        n_heads=len(profile.card.heads), head_dim=layout.head_dim, rank=RANK, seed=seed
    )
    student = _Student(replace(profile, adapter=adapter), layout, null_question)
    with torch.no_grad():
        spreads = [student.passages(examples[i]).std().item() for i in learned]
    # of the logits of the student's distribution; learned, as the teacher's scale means nothing
    sharpness = torch.tensor(-np.log(np.mean(spreads)), dtype=torch.float32, requires_grad=True)
    weights = [adapter.down, adapter.up, adapter.bias]
    for tensor in weights:
        tensor.requires_grad_()
    optimizer = torch.optim.Adam([*weights, sharpness], lr=LEARNING_RATE)

    def loss_of(example: DistillationExample) -> Tensor:
        target = torch.from_numpy(example.gains / TEMPERATURE).softmax(-1)
        logits = student.passages(example) * sharpness.exp()
        return -(target * logits.log_softmax(-1)).sum()

    def loss() -> float:
        with torch.no_grad():
            return float(np.mean([loss_of(examples[i]).item() for i in choosing]))

    def precision() -> np.ndarray:
        with torch.no_grad():
            scores = [student.passages(examples[i]).numpy() for i in reported]
        return _precision(scores, [examples[i] for i in reported])

    before = precision()
    losses, best, kept = [loss()], 0, _frozen(adapter)
    for epoch in range(1, EPOCHS + 1):
        shuffled = rng.permutation(learned)
        for start in range(0, len(shuffled), BATCH):
            batch = shuffled[start : start + BATCH]
            optimizer.zero_grad()
            for i in batch:
                (loss_of(examples[i]) / len(batch)).backward()
            optimizer.step()
        losses.append(loss())
        if losses[-1] < losses[best]:
            best, kept = epoch, _frozen(adapter)
        on_epoch(epoch, EPOCHS)
    student = _Student(replace(profile, adapter=kept), layout, null_question)
    asked = [examples[i] for i in reported]
    teacher = _precision([example.gains for example in asked], asked)
    return Distillation(
        adapter=kept,
        epoch=best,
        choosing=tuple(choosing.tolist()),
        reported=tuple(reported.tolist()),
        losses=tuple(losses),
        before=before,
        after=precision(),
        teacher=teacher,
    )


class _Student:
    """Attention scoring of passages, through which a gradient passes."""

    def __init__(
        self, profile: Profile, layout: AttentionLayout, null_question: ProjectedQuestion | None
    ) -> None:
        self._profile, self._layout, self._null = profile, layout, null_question

    def passages(self, example: DistillationExample) -> Tensor:
        """``(n_passages,)``: the mean of each one's best tokens, as in calibration of heads."""
        scorer = AttentionScorer(
            self._profile,
            self._lanes(example.question),
            self._lanes(self._null) if self._null else None,
        )
        tokens = scorer.shares(example.ids, example.activations)
        most = self._profile.default_settings.scoring.best_tokens
        found = [
            tokens[start:end].topk(min(most, end - start)).values.mean()
            for start, end in example.bounds
        ]
        return torch.stack(found)

    def _lanes(self, question: ProjectedQuestion) -> QuestionLanes:
        return QuestionLanes(self._profile, self._layout, question)


def _frozen(adapter: QueryAdapter) -> QueryAdapter:
    """A copy that training no longer changes."""
    return QueryAdapter(*(t.detach().clone() for t in (adapter.down, adapter.up, adapter.bias)))


def _precision(scores: Sequence[np.ndarray], examples: Sequence[DistillationExample]) -> np.ndarray:
    """``(n_examples,)`` R-precision."""
    pairs = zip(scores, examples, strict=True)
    return np.array([float(r_precision(s, example.gold)) for s, example in pairs])
