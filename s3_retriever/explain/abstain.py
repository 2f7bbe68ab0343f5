"""When nothing relevant is there: a threshold learned on questions with and without an answer.

A span's scores compare it with others of the same result, so the best of nothing looks like the
best of much. What is asked here is how much likelier the model finds the question's words after
reading the best spans than after reading nothing, in nats a token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.paths import bound
from s3_retriever.quoting import brief, why
from s3_retriever.types import Span

__all__ = ["Abstention", "choose_threshold", "evidence"]

_NOTHING = "N/A"
_SPANS = 3


class Retrieves(Protocol):
    """What a threshold is learned from: an :class:`~s3_retriever.Engine`."""

    @property
    def llm(self) -> LanguageModel:
        """The resident model."""

    def retrieve(self, question: str, *, abstain: bool, **arguments: Any) -> Sequence[Span]:
        """Spans, best first; all of them with ``abstain=False``."""


@dataclass(frozen=True)
class Abstention:
    """A threshold on :func:`evidence`, with how well it told its questions apart.

    ``engine.abstention = Abstention.learn(...)`` switches it on: questions below the threshold then
    get an empty result. It belongs to a model and to a kind of question.
    """

    threshold: float
    """Nats a token."""
    found: float
    """Share of answerable calibration questions that stay above it."""
    refused: float
    """Share of unanswerable ones that fall below it."""

    @classmethod
    def learn(
        cls,
        engine: Retrieves,
        answerable: Sequence[str],
        unanswerable: Sequence[str],
        **arguments: Any,
    ) -> Abstention:
        """Choose the threshold with the best mean of both shares.

        Args:
            engine: with an index that answers the first questions and not the second.
            answerable: at least one.
            unanswerable: at least one.
            **arguments: of :meth:`~s3_retriever.Engine.retrieve`.

        Raises:
            InputError: one of both is empty.
        """
        values = [
            [
                evidence(engine.llm, q, engine.retrieve(q, abstain=False, **arguments))
                for q in listed(questions, "questions")
            ]
            for questions in (answerable, unanswerable)
        ]
        return choose_threshold(*values)

    def relevant(self, llm: LanguageModel, question: str, spans: Sequence[Span]) -> bool:
        """Whether there is evidence enough."""
        return evidence(llm, question, spans) >= self.threshold

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        bound(path).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Abstention:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: the file holds something else.
        """
        try:
            return cls(**json.loads(bound(path).read_text(encoding="utf-8")))
        except (TypeError, ValueError) as e:
            raise InputError(f"{brief(path)} holds no abstention threshold: {why(e)}") from e


def choose_threshold(answerable: Sequence[float], unanswerable: Sequence[float]) -> Abstention:
    """The threshold on evidence with the best mean of both shares; halfway between two values.

    Raises:
        InputError: one of both is empty.

    Example:
        >>> choose_threshold([0.9, 0.5, 0.8], [0.1, 0.3, 0.6])
        Abstention(threshold=0.4, found=1.0, refused=0.6666666666666666)
    """
    if not answerable or not unanswerable:
        raise InputError("give answerable and unanswerable questions to learn from")
    yes, no = np.array(answerable), np.array(unanswerable)
    values = np.unique(np.concatenate([yes, no]))
    tried = [float(values[0]), *((values[1:] + values[:-1]) / 2).tolist()]
    best = max(tried, key=lambda t: ((yes >= t).mean() + (no < t).mean(), -t))
    return Abstention(best, float((yes >= best).mean()), float((no < best).mean()))


def evidence(llm: LanguageModel, question: str, spans: Sequence[Span]) -> float:
    """How much likelier than no text the best of ``spans`` make a question, in nats a token.

    Each token counts with the span that explains it best, and not below 0.

    Args:
        llm: the resident model.
        question: plain text.
        spans: best first; three are read.
    """
    if not spans:
        return 0.0
    texts = [_NOTHING, *(span.text for span in spans[:_SPANS])]
    values = llm.question_log_likelihoods([llm.tokenize(text).ids for text in texts], question)
    return float(np.maximum(values[1:].max(axis=0) - values[0], 0).mean())
