"""A query adapter by self-distillation: codes learn to rank as the generator does when it reads.

The teacher is the generator's own clamped likelihood of a question given each passage; the student
is attention scoring over stored codes, with low-rank maps of the queries. Nothing is labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.adapter import QueryAdapter
from s3_retriever.calibrate.lessons import Lesson
from s3_retriever.calibrate.precision import r_precision
from s3_retriever.errors import InputError
from s3_retriever.evaluate.metrics import bootstrap
from s3_retriever.generator.families import AttentionLayout
from s3_retriever.profile import Profile
from s3_retriever.retrieve.passages import BEST_TOKENS
from s3_retriever.retrieve.question import ProjectedQuestion
from s3_retriever.retrieve.scoring import AttentionScorer

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
"""Share of the questions that decide when to stop, and whether the adapter is any good."""


@dataclass(frozen=True)
class Distillation:
    """An adapter and what it was worth on questions it had not learned from."""

    adapter: QueryAdapter
    epoch: int
    """The one kept: with the lowest held-out loss; 0 is before training."""
    losses: tuple[float, ...]
    """Held-out cross-entropy to the teacher in nats, before training and after each epoch."""
    before: np.ndarray
    """``(n_held_out,)`` R-precision of gold passages without the adapter."""
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
            "n_held_out": len(self.before),
            "r_precision": {name: bootstrap(v.tolist()) for name, v in figures.items()},
            "lead": self.lead,
        }


def distill(
    profile: Profile,
    layout: AttentionLayout,
    lessons: Sequence[Lesson],
    null_question: ProjectedQuestion | None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
) -> Distillation:
    """Train a query adapter, and keep it as it was when held-out questions liked it best.

    Args:
        profile: its heads are adapted; an adapter it has is not built on.
        layout: of the model.
        lessons: from :func:`~s3_retriever.calibrate.lessons.lessons_of`.
        null_question: as retrieval will use it.
        seed: of the split, the order and the initial maps.
        on_epoch: called with the epochs done and their total.

    Raises:
        InputError: fewer than 8 lessons.
        ProfileError: the profile names no heads.
    """
    n = len(lessons)
    if n < 8:
        raise InputError(f"questions to learn from: {n}; at least 8 are needed, better hundreds")
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    held, learned = np.split(order, [max(2, int(HELD_OUT * n))])
    adapter = QueryAdapter.identity(
        n_heads=len(profile.card.heads), head_dim=layout.head_dim, rank=RANK, seed=seed
    )
    student = _Student(replace(profile, adapter=adapter), layout, null_question)
    with torch.no_grad():
        spreads = [student.passages(lessons[i]).std().item() for i in learned]
    # of the logits of the student's distribution; learned, as the teacher's scale means nothing
    sharpness = torch.tensor(-np.log(np.mean(spreads)), dtype=torch.float32, requires_grad=True)
    weights = [adapter.down, adapter.up, adapter.bias]
    for tensor in weights:
        tensor.requires_grad_()
    optimizer = torch.optim.Adam([*weights, sharpness], lr=LEARNING_RATE)

    def loss_of(lesson: Lesson) -> Tensor:
        target = torch.from_numpy(lesson.gains / TEMPERATURE).softmax(-1)
        logits = student.passages(lesson) * sharpness.exp()
        return -(target * logits.log_softmax(-1)).sum()

    def held_out_loss() -> float:
        with torch.no_grad():
            return float(np.mean([loss_of(lessons[i]).item() for i in held]))

    def precision() -> np.ndarray:
        with torch.no_grad():
            scores = [student.passages(lessons[i]).numpy() for i in held]
        return _precision(scores, [lessons[i] for i in held])

    before = precision()
    losses, best, kept = [held_out_loss()], 0, _frozen(adapter)
    for epoch in range(1, EPOCHS + 1):
        shuffled = rng.permutation(learned)
        for start in range(0, len(shuffled), BATCH):
            batch = shuffled[start : start + BATCH]
            optimizer.zero_grad()
            for i in batch:
                (loss_of(lessons[i]) / len(batch)).backward()
            optimizer.step()
        losses.append(held_out_loss())
        if losses[-1] < losses[best]:
            best, kept = epoch, _frozen(adapter)
        on_epoch(epoch, EPOCHS)
    student = _Student(replace(profile, adapter=kept), layout, null_question)
    teacher = _precision([lessons[i].gains for i in held], [lessons[i] for i in held])
    return Distillation(kept, best, tuple(losses), before, precision(), teacher)


class _Student:
    """Attention scoring of passages, through which a gradient passes."""

    def __init__(
        self, profile: Profile, layout: AttentionLayout, null_question: ProjectedQuestion | None
    ) -> None:
        self._profile, self._layout, self._null = profile, layout, null_question

    def passages(self, lesson: Lesson) -> Tensor:
        """``(n_passages,)``: the mean of each one's best tokens, as in calibration of heads."""
        scorer = AttentionScorer(self._profile, self._layout, lesson.question, self._null)
        tokens = scorer.shares(lesson.ids, lesson.activations)
        found = [
            tokens[start:end].topk(min(BEST_TOKENS, end - start)).values.mean()
            for start, end in lesson.bounds
        ]
        return torch.stack(found)


def _frozen(adapter: QueryAdapter) -> QueryAdapter:
    """A copy that training no longer changes."""
    return QueryAdapter(*(t.detach().clone() for t in (adapter.down, adapter.up, adapter.bias)))


def _precision(scores: Sequence[np.ndarray], lessons: Sequence[Lesson]) -> np.ndarray:
    """``(n_lessons,)`` R-precision."""
    pairs = zip(scores, lessons, strict=True)
    return np.array([float(r_precision(s, lesson.gold)) for s, lesson in pairs])
