"""With codes at hand: the weights of heads, the width of the convolution, the weights of legs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.labels.metrics import evidence_recall
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import RetrieveSettings
from s3_retriever.training.adoption.layers import HeadChoice
from s3_retriever.training.adoption.ranking import HeadQuestion
from s3_retriever.training.calibration.fusion_weights import FusionFit, fit_fusion, legs_of
from s3_retriever.training.calibration.precision import ScoredQuestion
from s3_retriever.training.calibration.weights import (
    cross_validate,
    equal_weights,
    learned_weights,
)

__all__ = [
    "ScannedQuestion",
    "evidence_of",
    "fit_legs",
    "fit_width",
    "scan_questions",
    "weigh_heads",
]

BUDGET = 256
"""Tokens at which settings are compared."""
WIDTHS = (8, 1, 4, 16)
"""Of the convolution; the first is the published one, taken unless another wins."""


def weigh_heads(
    questions: Sequence[HeadQuestion], choice: HeadChoice, seed: int = 0
) -> tuple[Head, ...]:
    """Learned weights where they win on the half of the questions they were not learned on.

    Args:
        questions: to learn from.
        choice: the heads, and how their tokens make passages.
        seed: of the halves.
    """
    layers, heads = (list(numbers) for numbers in zip(*choice.heads, strict=True))
    scored = [
        ScoredQuestion(
            question.tokens(less_null=choice.statistic.less_null)[layers, heads],
            question.bounds.tolist(),
            question.gold,
            choice.statistic.best_tokens,
        )
        for question in questions
    ]
    n = len(choice.heads)
    weights = equal_weights(n, np.arange(n))
    if n > 1:
        unseen = cross_validate(scored, n, seed)
        if bootstrap((unseen["learned"] - unseen["equal"]).tolist())["low"] > 0:
            weights = learned_weights(scored, np.arange(n))
    return tuple(
        Head(layer=layer, head=head, weight=round(float(weight), 4))
        for layer, head, weight in zip(layers, heads, weights, strict=True)
        if weight > 0
    )


@dataclass(frozen=True)
class ScannedQuestion:
    """A question and an engine that has read its context."""

    engine: Engine
    collection: Collection
    filler: BudgetFiller

    def evidence(
        self, mode: str, settings: RetrieveSettings, budgets: Sequence[int]
    ) -> list[float]:
        """Evidence recall at some budgets."""
        (question,) = self.collection.questions
        spans = self.engine.retrieve(question.text, mode=mode, settings=settings, max_tokens=None)
        places = [Place(span.doc_id, span.start, span.end) for span in spans]
        return [
            evidence_recall(question, self.filler.fill(places, budget)) or 0.0 for budget in budgets
        ]


def scan_questions(
    llm: LanguageModel,
    profile: Profile,
    collections: Iterable[Collection],
    *,
    on_question: Callable[[int], None] = lambda done: None,
) -> list[ScannedQuestion]:
    """Read every context with a profile, into an index in memory.

    Args:
        llm: the model.
        profile: made for it.
        collections: of one question each.
        on_question: called with the number of contexts read.
    """
    found = []
    for collection in collections:
        engine = Engine(llm, profile)
        engine.add(collection.documents)
        found.append(
            ScannedQuestion(engine, collection, BudgetFiller(collection, llm.count_tokens))
        )
        on_question(len(found))
    return found


def evidence_of(
    questions: Sequence[ScannedQuestion], mode: str, settings: RetrieveSettings
) -> np.ndarray:
    """``(n_questions,)`` evidence recall at :data:`BUDGET` tokens."""
    return np.array([question.evidence(mode, settings, [BUDGET])[0] for question in questions])


def fit_width(questions: Sequence[ScannedQuestion], settings: RetrieveSettings) -> RetrieveSettings:
    """The width with which mode ``fast`` finds most, if it wins by more than noise.

    Args:
        questions: with evidence, scanned.
        settings: all others.
    """
    best, at_best = settings, evidence_of(questions, "fast", settings)
    for width in WIDTHS[1:]:
        density = settings.density.model_copy(update={"kernel": width})
        trial = settings.model_copy(update={"density": density})
        found = evidence_of(questions, "fast", trial)
        if bootstrap((found - at_best).tolist())["low"] > 0:
            best, at_best = trial, found
    return best


def fit_legs(
    engine: Engine,
    questions: Sequence[ScannedQuestion],
    settings: RetrieveSettings,
    *,
    seed: int = 0,
    on_question: Callable[[int], None] = lambda done: None,
) -> FusionFit:
    """Weights of the legs, as ``calibrate --fusion`` learns them, from contexts that were scanned.

    Args:
        engine: its model and profile.
        questions: with evidence.
        settings: all others.
        seed: of the halves.
        on_question: called with the number of questions done.
    """
    proposed = legs_of(
        engine,
        [question.collection for question in questions],
        settings=settings,
        scanned=[question.engine for question in questions],
        on_question=on_question,
    )
    return fit_fusion(proposed, settings.fusion, seed=seed)
