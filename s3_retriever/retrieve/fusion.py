"""The union of the legs, in order of merit, filled up to a token budget.

Source: S3-Attention (arXiv 2601.17702), Eq. 8: the union of spans from features, from BM25 and of
the first and last tokens. The paper does not order the union; here the legs' scores, each relative
to its leg's best, are added, so that a tight budget takes first what several legs agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from s3_retriever.config import FusionSettings
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import whole_words

__all__ = ["FusedPiece", "fill_budget", "fuse", "lead_and_tail"]


@dataclass(frozen=True)
class FusedPiece:
    """A range of text and what each leg said of it."""

    piece: Piece
    score: float
    scores: Mapping[str, float]


def fuse(legs: Mapping[str, Sequence[Piece]], settings: FusionSettings) -> list[FusedPiece]:
    """Order the union of the legs by the sum of their relative scores, best first.

    Pieces of different legs that overlap become one with both scores. A piece also gets a share of
    the best score in its paragraph: a sentence among good ones is likelier evidence.

    Args:
        legs: pieces of each leg, best first, with positive scores.
        settings: the legs' weights and the paragraph's share.
    """
    union: list[FusedPiece] = []
    weights = {
        "features": settings.features_weight,
        "bm25": settings.bm25_weight,
        "feedback": settings.feedback_weight,
        "likelihood": settings.likelihood_weight,
    }
    for leg, pieces in legs.items():
        best = max((piece.score for piece in pieces), default=1.0)
        weight = weights.get(leg, 1.0)
        for piece in pieces:
            found = FusedPiece(piece, weight * piece.score / best, {leg: piece.score})
            touching = [other for other in union if other.piece.overlaps(piece)]
            for other in touching:
                found = _join(found, other)
                union.remove(other)
            union.append(found)
    return sorted(_with_paragraph(union, settings.paragraph_weight), key=lambda f: -f.score)


def _join(new: FusedPiece, old: FusedPiece) -> FusedPiece:
    """Both as one; of two scores in the same leg only the better counts."""
    start = min(new.piece.start, old.piece.start)
    end = max(new.piece.end, old.piece.end)
    same_leg = set(new.scores) & set(old.scores)
    score = max(new.score, old.score) if same_leg else new.score + old.score
    merged = {**new.scores, **old.scores}
    return FusedPiece(replace(old.piece, start=start, end=end), score, merged)


def _with_paragraph(union: Sequence[FusedPiece], weight: float) -> list[FusedPiece]:
    """Add to each score ``weight`` times the best of its paragraph (between empty lines)."""
    keys = []
    best: dict[tuple[int, int], float] = {}
    for item in union:
        keys.append(item.piece.paragraph)
        best[keys[-1]] = max(item.score, best.get(keys[-1], 0.0))
    return [
        replace(item, score=item.score + weight * best[key])
        for item, key in zip(union, keys, strict=True)
    ]


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
