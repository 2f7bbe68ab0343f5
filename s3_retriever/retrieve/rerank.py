"""The generator reads the best candidates and says which make the question likely.

A passage explains some of a question's tokens and another hop the rest, so each token's
log-probability is compared with its mean over the candidates and what is below that mean counts as
nothing: a passage is credited for what it explains and not blamed for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.config import RerankSettings
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.likelihood import question_log_likelihoods
from s3_retriever.retrieve.fusion import FusedPiece
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import sentences

__all__ = ["Passage", "clamped_gains", "find_passages", "pieces_from_likelihood"]

_CHARACTERS_A_TOKEN = 8
"""More than a token has on average in any language: how far around a candidate to look."""


@dataclass(frozen=True)
class Passage:
    """Consecutive sentences of one paragraph, read together."""

    piece: Piece
    """What put it here; its segment and document are the passage's."""
    start: int
    end: int
    sentences: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        """The characters."""
        return self.piece.segment.text(self.piece.entry)[self.start : self.end]

    def holds(self, piece: Piece) -> bool:
        """Whether ``piece`` lies in it."""
        same = self.piece.entry is piece.entry
        return same and self.start <= piece.start and piece.end <= self.end


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
        replace(passage.piece, start=start, end=end, score=gain)
        for passage, gain in zip(passages, clamped_gains(values).tolist(), strict=True)
        for start, end in passage.sentences
        if gain > 0
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


def find_passages(
    fused: Sequence[FusedPiece], question_tokens: int, settings: RerankSettings
) -> list[Passage]:
    """The surroundings of the best candidates, until ``settings.window`` tokens are full.

    Args:
        fused: candidates, best first.
        question_tokens: length of the question: its copies take at most another window.
        settings: how much is read.
    """
    passages: list[Passage] = []
    most = min(settings.passages, max(1, settings.window // max(1, question_tokens)))
    left = settings.window
    for item in fused:
        if any(passage.holds(item.piece) for passage in passages):
            continue
        passage = _around(item.piece, settings.passage_tokens)
        left -= _count(item.piece, passage.start, passage.end)
        if left < 0 or len(passages) == most:
            break
        passages.append(passage)
    return passages


def _around(piece: Piece, most: int) -> Passage:
    """Whole sentences around ``piece``, up to ``most`` tokens, inside its paragraph."""
    text = piece.segment.text(piece.entry)
    reach = _CHARACTERS_A_TOKEN * most
    low, high = max(0, piece.start - reach), min(len(text), piece.end + reach)
    above, below = text.rfind("\n\n", low, piece.start), text.find("\n\n", piece.end, high)
    near = sentences(text, above + 2 if above >= 0 else low, below if below >= 0 else high)
    inside = [n for n, (start, end) in enumerate(near) if start < piece.end and piece.start < end]
    if not inside:
        return Passage(piece, piece.start, piece.end, ((piece.start, piece.end),))
    first, last = inside[0], inside[-1]
    grown = True
    while grown:  # a sentence before, a sentence after, in turn
        grown = False
        for lower, upper in ((first - 1, last), (first, last + 1)):
            within = lower >= 0 and upper < len(near)
            if within and _count(piece, near[lower][0], near[upper][1]) <= most:
                first, last, grown = lower, upper, True
    return Passage(piece, near[first][0], near[last][1], tuple(near[first : last + 1]))


def _count(piece: Piece, start: int, end: int) -> int:
    """Tokens of a range of a piece's document, as they were scanned."""
    starts = piece.segment.starts[slice(*piece.entry.tokens)]
    low, high = np.searchsorted(starts, [start, end])
    return int(high - low)
