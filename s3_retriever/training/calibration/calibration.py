"""The whole of it: from questions with gold passages to heads and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.training.calibration.heads import HeadReader
from s3_retriever.training.calibration.precision import (
    ScoredQuestion,
    chance_level,
    passage_scores,
    r_precision,
    token_bounds,
)
from s3_retriever.training.calibration.profiles import Position, coded_heads
from s3_retriever.training.calibration.weights import (
    best_heads,
    cross_validate,
    equal_weights,
    learned_weights,
)

__all__ = ["Calibration", "calibrate", "with_labels"]


@dataclass(frozen=True)
class Calibration:
    """What was measured, and what follows for the profile."""

    alone: np.ndarray
    """``(n_questions, n_layers, n_heads)``: R-precision of every head alone."""
    chance: float
    """Mean R-precision to be expected of passages in random order."""
    coded: tuple[Position, ...]
    """The heads that the profile's autoencoders can serve."""
    unseen: Mapping[str, np.ndarray]
    """``(n_questions,)``: R-precision where nothing was chosen or learned on the question, of the
    ``best_head``, and of the chosen heads with ``equal`` and with ``learned`` weights."""
    equal: tuple[Head, ...]
    """The best coded heads, best first."""
    learned: tuple[Head, ...]
    """The same with learned weights; one without weight is missing."""

    @property
    def cross_validated(self) -> dict[str, dict[str, float]]:
        """Means of :attr:`unseen` and their 95% intervals."""
        return {name: bootstrap(values.tolist()) for name, values in self.unseen.items()}

    @property
    def lead(self) -> dict[str, float]:
        """Learned less equal weights on unseen questions, and its 95% interval, paired."""
        return bootstrap((self.unseen["learned"] - self.unseen["equal"]).tolist())

    @property
    def weighting(self) -> Literal["equal", "learned"]:
        """Learned weights only where they win on unseen questions, by more than noise."""
        return "learned" if self.lead["low"] > 0 else "equal"

    @property
    def heads(self) -> tuple[Head, ...]:
        """For the profile."""
        return self.learned if self.weighting == "learned" else self.equal

    @property
    def n(self) -> int:
        """Questions."""
        return len(self.alone)

    @property
    def ranking(self) -> list[Position]:
        """Every head of the model, best first; of equally good ones, coded and then lower first."""
        mean = self.alone.mean(axis=0).round(9)
        return sorted(np.ndindex(mean.shape), key=lambda at: (-mean[at], at not in self.coded, at))

    def precision(self, head: Position) -> dict[str, float]:
        """Mean R-precision of a head alone, with its 95% interval over questions."""
        return bootstrap(self.alone[:, head[0], head[1]].tolist())

    def better_uncoded(self, n: int) -> dict[Position, dict[str, float]]:
        """Heads that the profile would need autoencoders for, and what they lead by.

        Args:
            n: look among so many best heads.

        Returns:
            The mean lead over the weakest chosen head and its 95% interval, paired by question.
        """
        weakest = self.alone[:, self.equal[-1].layer, self.equal[-1].head]
        leads = {
            (layer, head): bootstrap((self.alone[:, layer, head] - weakest).tolist())
            for layer, head in self.ranking[:n]
            if (layer, head) not in self.coded
        }
        return {head: lead for head, lead in leads.items() if lead["mean"] > 0}

    def record(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "n": self.n,
            "chance": self.chance,
            "ranking": [
                {
                    "layer": layer,
                    "head": head,
                    "r_precision": self.precision((layer, head)),
                    "coded": (layer, head) in self.coded,
                }
                for layer, head in self.ranking
            ],
            "cross_validated": self.cross_validated,
            "learned_less_equal": self.lead,
            "weighting": self.weighting,
            "heads": [head.model_dump() for head in self.heads],
            "learned": [head.model_dump() for head in self.learned],
        }


def calibrate(
    llm: LanguageModel,
    profile: Profile,
    collections: Iterable[Collection],
    *,
    n_heads: int = 5,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Rank every query head by how well it alone retrieves, and weigh the best coded ones.

    A question takes 2 to 3 seconds for ten paragraphs on two CPU cores with SmolLM2-135M, nearly
    all of it for reading them. Memory is that of one :class:`~.heads.ReadContext`, and of the coded
    heads' scores of all questions' tokens: 4 bytes a head and token.

    Args:
        llm: the model.
        profile: made for it.
        collections: questions with gold passages, each collection of one document. A question
            with no gold passage, or nothing else, is left out.
        n_heads: most heads to choose.
        seed: of the halves of the cross-validation.
        on_progress: called with the questions done and their total.

    Raises:
        InputError: fewer than two questions are left.
    """
    usable = [asked for asked in map(with_labels, collections) if asked.questions]
    total = sum(len(c.questions) for c in usable)
    if total < 2:
        raise InputError(
            f"questions with both gold and other paragraphs: {total}; at least 2 are needed"
        )
    coded = coded_heads(profile.card)
    layers, heads = (list(numbers) for numbers in zip(*coded, strict=True))
    scoring = profile.default_settings.scoring
    best_tokens = scoring.best_tokens
    reader = HeadReader(llm, profile.card, scoring=scoring)
    alone = []
    questions: list[ScoredQuestion] = []
    for collection in usable:
        (document,) = collection.documents
        context = reader.read(document.text)
        bounds = token_bounds(context.tokens, collection.passages)
        for question in collection.questions:
            scores = reader.scores(context, question.text)
            gold = np.array([passage in question.gold_passages for passage in collection.passages])
            alone.append(r_precision(passage_scores(scores, bounds, best_tokens), gold))
            questions.append(ScoredQuestion(scores[layers, heads], bounds, gold, best_tokens))
            on_progress(len(questions), total)
    chosen = best_heads(questions, n_heads)

    def as_heads(weights: np.ndarray) -> tuple[Head, ...]:
        counted = [(*coded[i], round(float(weights[i]), 4)) for i in chosen if weights[i] > 0]
        return tuple(Head(layer=layer, head=head, weight=w) for layer, head, w in counted)

    return Calibration(
        alone=np.stack(alone),
        chance=float(np.mean([chance_level(question.gold) for question in questions])),
        coded=coded,
        unseen=cross_validate(questions, n_heads, seed),
        equal=as_heads(equal_weights(len(coded), chosen)),
        learned=as_heads(learned_weights(questions, chosen)),
    )


def with_labels(collection: Collection) -> Collection:
    """The questions that have gold passages, and others."""
    passages = set(collection.passages)
    kept = [q for q in collection.questions if set() < set(q.gold_passages) < passages]
    return replace(collection, questions=tuple(kept))
