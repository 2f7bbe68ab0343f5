"""The union of the legs, in order of merit, filled up to a token budget.

Source: S3-Attention (arXiv 2601.17702), Eq. 8: the union of spans from features, from BM25 and of
the first and last tokens. The paper does not order the union; here the legs' scores, each relative
to its leg's best, are added, so that a tight budget takes first what several legs agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.config import FusionSettings
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import whole_words

__all__ = ["FusedPiece", "Union", "fill_budget", "fuse", "lead_and_tail", "unite"]


@dataclass(frozen=True)
class FusedPiece:
    """A range of text and what each leg said of it."""

    piece: Piece
    score: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Union:
    """Pieces of all legs, those that overlap as one, before the legs are weighed."""

    pieces: Sequence[Piece]
    scores: Sequence[Mapping[str, float]]
    """What each leg said of each piece."""
    relative: Mapping[str, np.ndarray]
    """``(n_pieces,)`` by leg: its scores relative to its best; 0 where it said nothing."""
    paragraphs: np.ndarray
    """``(n_pieces,)`` number of the paragraph (between empty lines) that each begins in."""

    def ranked(self, settings: FusionSettings) -> list[FusedPiece]:
        """Pieces by the weighted sum of their relative scores, best first.

        A piece also gets a share of the best sum in its paragraph: a sentence among good ones is
        likelier evidence.
        """
        weights = {
            "features": settings.features_weight,
            "bm25": settings.bm25_weight,
            "feedback": settings.feedback_weight,
            "passages": settings.passages_weight,
            "likelihood": settings.likelihood_weight,
        }
        total = np.zeros(len(self.pieces))
        for leg, values in self.relative.items():
            total += weights.get(leg, 1.0) * values
        best = np.zeros(len(self.pieces))
        np.maximum.at(best, self.paragraphs, total)
        total += settings.paragraph_weight * best[self.paragraphs]
        return [
            FusedPiece(self.pieces[n], float(total[n]), self.scores[n])
            for n in np.argsort(-total, kind="stable")
        ]


def fuse(legs: Mapping[str, Sequence[Piece]], settings: FusionSettings) -> list[FusedPiece]:
    """Order the union of the legs by their weighted relative scores, best first.

    Args:
        legs: pieces of each leg, best first, with positive scores.
        settings: the legs' weights and the paragraph's share.
    """
    return unite(legs).ranked(settings)


def unite(legs: Mapping[str, Sequence[Piece]]) -> Union:
    """Join pieces that overlap; of two scores of the same leg the better counts.

    Args:
        legs: pieces of each leg, best first, with positive scores.
    """
    found = [(leg, piece) for leg, pieces in legs.items() for piece in pieces]
    documents: dict[int, int] = {}
    for _, piece in found:
        documents.setdefault(id(piece.entry), len(documents))
    found.sort(key=lambda f: (documents[id(f[1].entry)], f[1].start))
    pieces: list[Piece] = []
    scores: list[dict[str, float]] = []
    for leg, piece in found:
        if pieces and pieces[-1].overlaps(piece):
            pieces[-1] = replace(pieces[-1], end=max(pieces[-1].end, piece.end))
        else:
            pieces.append(piece)
            scores.append({})
        scores[-1][leg] = max(piece.score, scores[-1].get(leg, piece.score))
    relative = {
        leg: np.array([said.get(leg, 0.0) for said in scores]) / max(p.score for p in proposed)
        for leg, proposed in legs.items()
        if proposed
    }
    numbers: dict[tuple[int, int], int] = {}
    paragraphs = [numbers.setdefault(piece.paragraph, len(numbers)) for piece in pieces]
    return Union(pieces, scores, relative, np.array(paragraphs, dtype=np.int64))


def lead_and_tail(pieces: Sequence[Piece], settings: FusionSettings) -> list[Piece]:
    """First and last tokens of the document of the best piece."""
    if not pieces or not (settings.lead_tokens or settings.tail_tokens):
        return []
    segment, entry = pieces[0].segment, pieces[0].entry
    first, last = entry.tokens
    ranges = [
        (first, min(first + settings.lead_tokens, last)),
        (max(last - settings.tail_tokens, first), last),
    ]
    found = []
    for low, high in ranges:
        if low < high:
            text = segment.text(entry)
            bounds = whole_words(text, int(segment.starts[low]), int(segment.ends[high - 1]))
            found.append(Piece(segment, entry, *bounds, score=1.0))
    return found


def fill_budget(
    fused: Sequence[FusedPiece],
    max_tokens: int | None,
    k: int | None,
    count_tokens: Callable[[str], int],
) -> list[FusedPiece]:
    """Take pieces in order while they fit; one that does not fit makes room for smaller ones.

    If not even the first fits, it is cut after the last word that does.

    Args:
        fused: best first.
        max_tokens: budget in the generator's tokens; ``None`` is no limit.
        k: most pieces; ``None`` is no limit.
        count_tokens: the generator's own count.
    """
    taken: list[FusedPiece] = []
    left = max_tokens
    for item in fused:
        if k is not None and len(taken) == k:
            break
        if left is not None:
            cost = count_tokens(item.piece.text)
            if cost > left and not taken:
                item = replace(item, piece=_cut(item.piece, left, count_tokens))
                cost = count_tokens(item.piece.text)
            if cost > left or item.piece.start == item.piece.end:
                continue
            left -= cost
        taken.append(item)
    return taken


def _cut(piece: Piece, budget: int, count_tokens: Callable[[str], int]) -> Piece:
    """The longest beginning of ``piece`` that costs at most ``budget`` and ends with a word."""
    text = piece.text
    low, high = 0, len(text)  # invariant: text[:low] fits
    while low < high:
        middle = (low + high + 1) // 2
        if count_tokens(text[:middle]) <= budget:
            low = middle
        else:
            high = middle - 1
    end = low
    while end > 0 and whole_words(text, 0, end)[1] != end:
        end -= 1
    return replace(piece, end=piece.start + len(text[: end or low].rstrip()))
