"""The generator reads the best candidates and says which make the question likely.

A passage explains some of a question's tokens and another hop the rest, so each token's
log-probability is compared with its mean over the candidates and what is below that mean counts as
nothing: a passage is credited for what it explains and not blamed for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from s3_retriever.config import RerankSettings
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.likelihood import question_log_likelihoods
from s3_retriever.retrieve.passages import Passage
from s3_retriever.retrieve.spans import Piece

__all__ = ["clamped_gains", "pieces_from_likelihood", "within_window"]


def pieces_from_likelihood(
    generator: Generator, question: str, passages: Sequence[Passage]
) -> list[Piece]:
    """The sentences of some passages, by how likely their passage makes the question; best first.

    A score is a clamped gain in nats per token of the question; passages without gain are left out.

    Args:
        generator: the resident model.
        question: plain text.
        passages: what is read.
    """
    if not passages:
        return []
    values = question_log_likelihoods(
        generator, [generator.tokenize(passage.text).ids for passage in passages], question
    )
    pieces = [
        piece
        for passage, gain in zip(passages, clamped_gains(values).tolist(), strict=True)
        if gain > 0
        for piece in passage.scored(gain)
    ]
    return sorted(pieces, key=lambda piece: -piece.score)


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
    passages: Iterable[Passage], question_tokens: int, settings: RerankSettings
) -> list[Passage]:
    """The first passages, until ``settings.window`` tokens are full.

    Args:
        passages: best first.
        question_tokens: length of the question: its copies take at most another window.
        settings: how much is read.
    """
    taken: list[Passage] = []
    most = min(settings.passages, max(1, settings.window // max(1, question_tokens)))
    left = settings.window
    for passage in passages:
        left -= passage.n_tokens
        if left < 0 or len(taken) == most:
            break
        taken.append(passage)
    return taken
