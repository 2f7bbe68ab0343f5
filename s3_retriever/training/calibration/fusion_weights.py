"""Weights of the legs, learned on labelled questions.

Source: coordinate ascent on the measure itself (Metzler and Croft 2007, "Linear feature-based
models for information retrieval"): one weight at a time takes the value that finds most evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.metrics import evidence_recall
from s3_retriever.retrieval.fusion import SpanUnion
from s3_retriever.retrieval.legs.registry import leg_named
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.settings import FusionSettings, RetrieveSettings

__all__ = ["FusionFit", "ProposedQuestion", "fit_fusion", "legs_of", "tried_legs"]

BUDGET = 256
"""Tokens at which evidence recall is maximised."""
FACTORS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""What a weight is tried at; that of BM25 stays, as only ratios matter."""
FIXED = "bm25"
"""The leg whose weight stays."""
FIRST = ("query_likelihood", "passages", "features")
"""Legs whose weights are tried first, in this order; the others follow in that of the preset. What
the ascent finds depends on it, so it is the order in which published weights were found."""
MODE = "hybrid"
"""The preset whose legs are weighed."""
ROUNDS = 2


@dataclass(frozen=True)
class ProposedQuestion:
    """A question and what each leg proposed for it."""

    question: Question
    union: SpanUnion
    filler: BudgetFiller

    def recall(self, settings: FusionSettings, budget: int) -> float:
        """Evidence recall with some weights."""
        ranked = self.union.ranked(_weights(settings), settings.paragraph_weight)
        ranking = [Place(item.ref.doc_id, item.ref.start, item.ref.end) for item in ranked]
        return evidence_recall(self.question, self.filler.fill(ranking, budget)) or 0.0


@dataclass(frozen=True)
class FusionFit:
    """Weights, and what they were worth on questions they were not learned on."""

    learned: FusionSettings
    """From all questions."""
    recalls: Mapping[str, np.ndarray]
    """``(n_questions,)`` evidence recall with the ``given`` weights, and with those ``learned`` on
    the other half of the questions."""
    budget: int = BUDGET

    @property
    def unseen(self) -> dict[str, dict[str, float]]:
        """Means of :attr:`recalls` and their 95% intervals."""
        return {name: bootstrap(values.tolist()) for name, values in self.recalls.items()}

    @property
    def lead(self) -> dict[str, float]:
        """Learned less given, paired; 95% interval."""
        return bootstrap((self.recalls["learned"] - self.recalls["given"]).tolist())

    @property
    def wins(self) -> bool:
        """Whether the lead is more than noise."""
        return self.lead["low"] > 0

    @property
    def weights(self) -> dict[str, float]:
        """The learned ones, by leg, and the ``paragraph``'s share."""
        weights = _weights(self.learned)
        found = {leg: weights[leg] for leg in tried_legs(self.learned)}
        return {**found, "paragraph": self.learned.paragraph_weight}

    def record(self) -> dict[str, Any]:
        """Everything, as JSON."""
        figures = {"n": len(self.recalls["given"]), "budget": self.budget, "wins": self.wins}
        return {**figures, "unseen": self.unseen, "lead": self.lead, "weights": self.weights}


def legs_of(
    engine: Engine,
    collections: Iterable[Collection],
    *,
    settings: RetrieveSettings | None = None,
    scanned: Sequence[Engine] | None = None,
    on_question: Callable[[int], None] = lambda done: None,
) -> list[ProposedQuestion]:
    """Ask every question once and keep what each leg proposes.

    Args:
        engine: its model, profile and settings; its index is not touched.
        collections: questions with evidence; those without are left out.
        settings: by default the engine's own.
        scanned: engines that have read the collections, where there are any.
        on_question: called with the number of questions done.

    Raises:
        InputError: fewer than two questions have evidence.
    """
    retriever = Retriever(engine.llm, engine.profile)
    found: list[ProposedQuestion] = []
    done = 0
    for number, collection in enumerate(collections):
        if scanned is None:
            aside = Engine(engine.llm, engine.profile, scan=engine.scan_settings)
            aside.add(collection.documents)
        else:
            aside = scanned[number]
        view = aside.documents.view
        filler = BudgetFiller(collection, engine.llm.count_tokens)
        for question in collection.questions:
            if question.evidence:
                context = retriever.find(
                    view,
                    view.search,
                    question.text,
                    mode=MODE,
                    settings=settings or engine.retrieve_settings,
                )
                found.append(ProposedQuestion(question, context.union, filler))
            done += 1
            on_question(done)
    if len(found) < 2:
        raise InputError(f"questions with labelled evidence: {len(found)}; at least 2 are needed")
    return found


def fit_fusion(
    questions: Sequence[ProposedQuestion],
    given: FusionSettings,
    *,
    seed: int = 0,
    on_trial: Callable[[int], None] = lambda done: None,
) -> FusionFit:
    """Learn weights on all questions, and measure what learning is worth by 2-fold validation.

    Which second hop and which passages were proposed depends a little on the weights they were
    proposed with; these proposals stay as they are.

    Args:
        questions: from :func:`legs_of`.
        given: where the ascent starts.
        seed: of the halves.
        on_trial: called with the number of weights tried.
    """
    n_trials = 0

    def climbed(asked: Sequence[ProposedQuestion]) -> FusionSettings:
        nonlocal n_trials
        best, at_best = given, _recall(asked, given)
        for name in [*tried_legs(given), None] * ROUNDS:
            for factor in FACTORS:
                trial = _changed(best, name, factor)
                recall = _recall(asked, trial)
                n_trials += 1
                on_trial(n_trials)
                if recall > at_best:
                    best, at_best = trial, recall
        return best

    order = np.random.default_rng(seed).permutation(len(questions))
    halves = np.split(order, [len(order) // 2])
    learned = np.zeros(len(questions))
    for seen, unseen in (halves, halves[::-1]):
        settings = climbed([questions[i] for i in seen])
        learned[unseen] = [questions[i].recall(settings, BUDGET) for i in unseen]
    before = np.array([question.recall(given, BUDGET) for question in questions])
    return FusionFit(climbed(questions), {"given": before, "learned": learned})


def tried_legs(settings: FusionSettings) -> list[str]:
    """The preset's legs that settings do not switch off, in the order in which they are tried.

    Example:
        >>> tried_legs(FusionSettings())
        ['query_likelihood', 'passages', 'features', 'pseudo_relevance_feedback', 'headings']
    """
    legs = preset_named(MODE).legs
    first = [leg for leg in FIRST if leg in legs]
    whole = RetrieveSettings(fusion=settings)
    others = [leg for leg in legs if leg not in first and leg != FIXED]
    return [leg for leg in (*first, *others) if leg_named(leg).active(whole)]


def _weights(settings: FusionSettings) -> dict[str, float]:
    """Of all the preset's legs, also of those that weigh nothing."""
    return {leg: settings.weights.get(leg, own) for leg, own in preset_named(MODE).legs.items()}


def _changed(settings: FusionSettings, leg: str | None, value: float) -> FusionSettings:
    """Settings with another weight of a leg, or, for ``None``, of the paragraph's share.

    Every weight is then named, so that what was learned stays what it is if a preset changes.
    """
    weights = _weights(settings)
    if leg is None:
        return settings.model_copy(update={"weights": weights, "paragraph_weight": value})
    return settings.model_copy(update={"weights": {**weights, leg: value}})


def _recall(questions: Sequence[ProposedQuestion], settings: FusionSettings) -> float:
    return float(np.mean([question.recall(settings, BUDGET) for question in questions]))
