"""Passages: whole sentences around candidates, and what the best of their tokens make them worth.

A peak shows where to look, its paragraph says whether it is worth it: many tokens of a paragraph
that is about the question are attended to a little. The mean of its best tokens is also what heads
are calibrated by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.retrieve.candidates import Run
from s3_retriever.retrieve.fusion import FusedPiece
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import sentences

__all__ = ["BEST_TOKENS", "Passage", "find_passages", "pieces_from_passages"]

BEST_TOKENS = 8
"""Tokens that stand for a passage: its highest scoring ones."""

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

    @property
    def n_tokens(self) -> int:
        """Tokens, as they were scanned."""
        return _count(self.piece, self.start, self.end)

    def scored(self, score: float) -> Iterator[Piece]:
        """Its sentences, each with the same score."""
        for start, end in self.sentences:
            yield replace(self.piece, start=start, end=end, score=score)

    def holds(self, piece: Piece) -> bool:
        """Whether ``piece`` lies in it."""
        same = self.piece.entry is piece.entry
        return same and self.start <= piece.start and piece.end <= self.end


def find_passages(fused: Sequence[FusedPiece], most: int) -> Iterator[Passage]:
    """The surroundings of candidates, in their order; those inside an earlier passage are skipped.

    Args:
        fused: candidates, best first.
        most: tokens of the longest passage; a longer paragraph is cut around its candidate.
    """
    found: list[Passage] = []
    for item in fused:
        if not any(passage.holds(item.piece) for passage in found):
            found.append(_around(item.piece, most))
            yield found[-1]


def pieces_from_passages(
    passages: Sequence[Passage], runs: Sequence[Run], scores: np.ndarray
) -> list[Piece]:
    """The sentences of passages, by the mean of their passage's best scored tokens; best first.

    Passages without a positive mean are left out. Tokens that were no candidates do not count.

    Args:
        passages: what is judged.
        runs: the scored tokens.
        scores: ``(n_tokens of all runs,)``.
    """
    ends = np.cumsum([len(run) for run in runs])
    pieces: list[Piece] = []
    for passage in passages:
        found = [
            scores[end - len(run) : end][_inside(passage, run)]
            for run, end in zip(runs, ends, strict=True)
            if run.entry is passage.piece.entry
        ]
        tokens = np.sort(np.concatenate(found))[-BEST_TOKENS:] if found else np.empty(0)
        if len(tokens) and tokens.mean() > 0:
            pieces += passage.scored(float(tokens.mean()))
    return sorted(pieces, key=lambda piece: -piece.score)


def _inside(passage: Passage, run: Run) -> slice:
    """The tokens of a run that touch a passage."""
    rows = slice(*run.rows)
    first = np.searchsorted(run.segment.ends[rows], passage.start, side="right")
    last = np.searchsorted(run.segment.starts[rows], passage.end)
    return slice(int(first), int(last))


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
