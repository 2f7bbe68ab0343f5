"""The second hop: text that shares rare words with the best evidence.

The answer to "Who is the mother of the director of X?" stands where the question's own words do
not. The best spans of the first pass name what is missing, so their words, less the question's,
are looked up as well (feedback from the first results: Rocchio 1971).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3_retriever.config import FeedbackSettings
from s3_retriever.index.candidates import CandidateIndex
from s3_retriever.retrieve.candidates import Run
from s3_retriever.retrieve.fusion import FusedPiece
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import sentences

__all__ = ["new_words", "pieces_from_feedback"]


def new_words(
    index: CandidateIndex, question: str, piece: Piece, settings: FeedbackSettings
) -> dict[str, float]:
    """Rare words of a piece that the question lacks, with their inverse document frequency."""
    n_blocks = index.n_blocks()
    most = max(2.0, settings.max_df * n_blocks)
    asked = set(index.words(question))
    found = {}
    for word in dict.fromkeys(index.words(piece.text)):
        df = index.block_frequency(word)
        if word not in asked and df <= most:
            found[word] = math.log(1 + (n_blocks - df + 0.5) / (df + 0.5))
    return found


def pieces_from_feedback(
    index: CandidateIndex,
    evidence: Sequence[tuple[FusedPiece, Mapping[str, float]]],
    runs: Sequence[Run],
    limit: int,
) -> list[Piece]:
    """The ``limit`` sentences of ``runs`` that share most with the evidence, best first.

    A sentence scores by the words it shares with the piece of evidence that it shares most with,
    times that piece's score relative to the best one's. Sentences of the evidence's own paragraph
    do not score: they share words because they speak of the same.

    Args:
        index: gives words.
        evidence: the best pieces and their :func:`new_words`.
        runs: where to look.
        limit: most pieces.
    """
    best = max((item.score for item, _ in evidence), default=1.0)
    pieces: dict[tuple[int, int], Piece] = {}
    for run in runs:
        text = run.segment.text(run.entry)
        for start, end in sentences(text, *run.characters):
            piece = Piece(run.segment, run.entry, start, end, 0.0)
            if (id(run.entry), start) in pieces:  # runs of one document may meet in a sentence
                continue
            words = set(index.words(text[start:end]))
            shares = [
                item.score / best * sum(weights[word] for word in words & weights.keys())
                for item, weights in evidence
                if item.piece.paragraph != piece.paragraph
            ]
            if shares and max(shares) > 0:
                pieces[id(run.entry), start] = replace(piece, score=max(shares))
    return sorted(pieces.values(), key=lambda piece: -piece.score)[:limit]
