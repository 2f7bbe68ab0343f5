"""The generator reads the best candidates and says which make the question likely.

A passage explains some of a question's tokens and another hop the rest, so each token's
log-probability is compared with its mean over the candidates and what is below that mean counts as
nothing: a passage is credited for what it explains and not blamed for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.config import RerankSettings
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.likelihood import PassageView, question_log_likelihoods
from s3_retriever.retrieve.fusion import FusedPiece
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import sentences

__all__ = ["Passage", "clamped_gains", "find_passages", "pieces_from_likelihood"]

_HEADING_CHARACTERS = 120
"""A first line up to this long names what the paragraph is about."""
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

    def holds(self, piece: Piece) -> bool:
        """Whether ``piece`` lies in it."""
        same = self.piece.entry is piece.entry
        return same and self.start <= piece.start and piece.end <= self.end


def pieces_from_likelihood(
    generator: Generator, question: str, fused: Sequence[FusedPiece], settings: RerankSettings
) -> list[Piece]:
    """Every sentence around the best candidates, by how likely it makes the question; best first.

    A sentence's score is its own clamped gain (it is read together with the paragraph's first line)
    plus :attr:`RerankSettings.passage_weight` times its passage's, in nats per token of the
    question.

    Args:
        generator: the resident model.
        question: plain text.
        fused: candidates, best first.
        settings: how much is read.
    """
    passages = find_passages(fused, settings)
    if not passages:
        return []
    values = question_log_likelihoods(
        generator, [_view(generator, passage) for passage in passages], question
    )
    whole = clamped_gains(np.stack([rows[0] for rows in values]))
    single = clamped_gains(np.concatenate([rows[1:] for rows in values]))
    owners = np.repeat(np.arange(len(passages)), [len(p.sentences) for p in passages])
    scores = single + settings.passage_weight * whole[owners]
    bounds = [bound for passage in passages for bound in passage.sentences]
    pieces = [
        Piece(passages[owner].piece.segment, passages[owner].piece.entry, *bound, float(score))
        for owner, bound, score in zip(owners, bounds, scores, strict=True)
        if score > 0
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


def find_passages(fused: Sequence[FusedPiece], settings: RerankSettings) -> list[Passage]:
    """The surroundings of the best candidates, until ``settings.window`` tokens are full."""
    passages: list[Passage] = []
    left = settings.window
    for item in fused:
        if any(passage.holds(item.piece) for passage in passages):
            continue
        passage = _around(item.piece, settings.passage_tokens)
        left -= _count(item.piece, passage.start, passage.end)
        if left < 0 or len(passages) == settings.passages:
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


def _view(generator: Generator, passage: Passage) -> PassageView:
    """The passage as a whole, then each of its sentences with the heading."""
    text = passage.piece.segment.text(passage.piece.entry)[passage.start : passage.end]
    tokens = generator.tokenize(text)
    bounds = np.array(passage.sentences) - passage.start
    # a token that begins with the space before a sentence is the sentence's first
    lows = np.searchsorted(tokens.ends, bounds[:, 0], side="right")
    highs = np.searchsorted(tokens.starts, bounds[:, 1])
    ranges = [(int(low), int(high)) for low, high in zip(lows, highs, strict=True)]
    heading = int(np.searchsorted(tokens.starts, _heading_length(text)))
    views = [((0, heading), (max(low, heading), high)) for low, high in ranges]
    return PassageView(tokens.ids, (((0, len(tokens)),), *views))


def _heading_length(text: str) -> int:
    """Characters of the first line if it is short enough for a heading, else 0."""
    end = text.find("\n", 0, _HEADING_CHARACTERS)
    return max(end, 0)
