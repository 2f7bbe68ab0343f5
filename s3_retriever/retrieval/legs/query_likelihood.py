"""The query likelihood leg: the model reads the best passages and judges them by the question.

A passage explains some of a question's tokens and another hop the rest, so each token's
log-probability is compared with its mean over the candidates and what is below that mean counts as
nothing: a passage is credited for what it explains and not blamed for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.passages import Passage, find_passages
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import QueryLikelihoodSettings, RetrieveSettings
from s3_retriever.storage.base import CodeStore

__all__ = ["QueryLikelihood", "clamped_gains", "within_window"]


@dataclass(frozen=True)
class QueryLikelihood:
    """Sentences of passages, by how likely their passage makes the question."""

    name: str = "query_likelihood"
    after: tuple[str, ...] = (
        "features",
        "bm25",
        "lead_tail",
        "pseudo_relevance_feedback",
        "passages",
    )

    def active(self, settings: RetrieveSettings) -> bool:
        """Always."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """Sentences, best first; passages without gain are left out.

        A score is a clamped gain in nats per token of the question.
        """
        store, llm, settings = context.store, context.llm, context.settings
        longest = settings.spans.passage_tokens
        surroundings = find_passages(store, context.ranked(), longest, context.memory)
        n_asked = llm.count_tokens(context.question)
        passages = within_window(store, surroundings, n_asked, settings.query_likelihood)
        if not passages:
            return []
        values = llm.question_log_likelihoods(
            [llm.tokenize(store.text(passage.ref)).ids for passage in passages], context.question
        )
        found = [
            span
            for passage, gain in zip(passages, clamped_gains(values).tolist(), strict=True)
            if gain > 0
            for span in passage.scored(gain)
        ]
        return sorted(found, key=lambda span: -span.score)


def clamped_gains(log_probabilities: np.ndarray) -> np.ndarray:
    """Mean over a question's tokens of what each is likelier than on average, if it is.

    Args:
        log_probabilities: ``(n_candidates, n_question_tokens)``, in nats.

    Returns:
        ``(n_candidates,)`` gains, 0 or above.

    Example:
        >>> clamped_gains(np.array([[-1.0, -3.0], [-3.0, -3.0]])).tolist()
        [0.5, 0.0]
    """
    gains: np.ndarray = np.maximum(log_probabilities - log_probabilities.mean(axis=0), 0).mean(1)
    return gains


def within_window(
    store: CodeStore,
    passages: Iterable[Passage],
    question_tokens: int,
    settings: QueryLikelihoodSettings,
) -> list[Passage]:
    """The first passages, until ``settings.window`` tokens are full.

    Args:
        store: counts tokens.
        passages: best first.
        question_tokens: length of the question: its copies take at most another window.
        settings: how much is read.
    """
    taken: list[Passage] = []
    most = min(settings.passages, max(1, settings.window // max(1, question_tokens)))
    left = settings.window
    for passage in passages:
        left -= store.count_tokens(passage.ref)
        if left < 0 or len(taken) == most:
            break
        taken.append(passage)
    return taken
