"""From peaks to spans of text with natural bounds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.retrieval.density import find_peaks, smooth
from s3_retriever.settings import DensitySettings, SpanSettings
from s3_retriever.storage.base import CodeStore
from s3_retriever.text import LONGEST_FLAGS, in_flags, whole_words
from s3_retriever.types import SpanRef, TokenBatch

__all__ = [
    "ScoredSpan",
    "rows_touching",
    "spans_from_scores",
    "widened_to_sentences",
    "widened_to_words",
]

_REACH = 200
"""Characters around a range that decide whether a word is cut (:func:`whole_words`)."""


@dataclass(frozen=True)
class ScoredSpan:
    """A range of characters of a document that one leg proposes, with that leg's score."""

    ref: SpanRef
    score: float


def spans_from_scores(
    store: CodeStore,
    batch: TokenBatch,
    scores: np.ndarray,
    density: DensitySettings,
    spans: SpanSettings,
) -> list[ScoredSpan]:
    """Smooth, find peaks, grow each to a span: best first, without overlap.

    Args:
        store: gives texts and bounds.
        batch: the scored tokens.
        scores: ``(n_tokens,)``.
        density: convolution and peaks.
        spans: growth and bounds.
    """
    if not len(scores):
        return []
    # zeros between ranges keep the convolution and the suppression inside each
    gap = density.kernel + density.suppression
    parts = list(batch.parts())
    lengths = np.array([len(tokens) for tokens in batch.ranges])
    begins = np.concatenate([[0], np.cumsum(lengths + gap)[:-1]])
    spread = np.zeros(int((lengths + gap).sum()))
    spread[np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(len(scores))] = (
        scores
    )
    smoothed = smooth(spread, density.kernel)
    found = []
    for peak in find_peaks(smoothed, density):
        number = int(np.searchsorted(begins, peak, side="right")) - 1
        (tokens, rows), begin = parts[number], int(begins[number])
        local = smoothed[begin : begin + len(tokens)]
        first, last = _grow(local, min(peak - begin, len(tokens) - 1), spans)
        ref = SpanRef(
            tokens.doc_id,
            int(batch.starts[rows.start + first]),
            int(batch.ends[rows.start + last]),
        )
        widened = (widened_to_sentences if spans.sentences else widened_to_words)(store, ref)
        if not store.text(widened).isspace():  # heads like to look at line ends
            found.append(ScoredSpan(widened, float(smoothed[peak])))
    return _without_overlap(found)


def widened_to_sentences(store: CodeStore, ref: SpanRef) -> SpanRef:
    """The sentences that a range touches; its words where it touches none."""
    around = store.bounds(ref.doc_id).sentences_over(ref.start, ref.end)
    if not around:
        return widened_to_words(store, ref)
    return replace(ref, start=around[0][0], end=around[-1][1])


def widened_to_words(store: CodeStore, ref: SpanRef) -> SpanRef:
    """The words that a range touches."""
    low = max(0, ref.start - _REACH)
    text = store.text(SpanRef(ref.doc_id, low, ref.end + _REACH))
    # two and two, counted from where they begin
    while low > 0 and ref.start - low < LONGEST_FLAGS and in_flags(text):
        low = max(0, low - 8 * _REACH)
        text = store.text(SpanRef(ref.doc_id, low, ref.end + _REACH))
    start, end = whole_words(text, ref.start - low, ref.end - low)
    return SpanRef(ref.doc_id, low + start, low + end)


def rows_touching(batch: TokenBatch, ref: SpanRef) -> np.ndarray:
    """``(n,)`` int64: the rows of a batch's tokens that share a character with a span."""
    found = [np.empty(0, dtype=np.int64)]
    for rows in batch.rows_by_document.get(ref.doc_id, ()):
        first = bisect_right(batch.ends, ref.start, rows.start, rows.stop)
        last = bisect_left(batch.starts, ref.end, rows.start, rows.stop)
        found.append(np.arange(first, last))
    return np.concatenate(found)


def _grow(density: np.ndarray, peak: int, settings: SpanSettings) -> tuple[int, int]:
    """First and last token around ``peak`` while the density stays above the threshold."""
    floor = settings.threshold * density[peak]
    first = last = peak
    while last - first + 1 < settings.max_tokens:
        left = density[first - 1] if first > 0 else -np.inf
        right = density[last + 1] if last + 1 < len(density) else -np.inf
        if max(left, right) < floor or max(left, right) <= 0:
            break
        if left >= right:
            first -= 1
        else:
            last += 1
    return first, last


def _without_overlap(spans: Sequence[ScoredSpan]) -> list[ScoredSpan]:
    """Join spans of a document that overlap; a joined one keeps the best score and place."""
    joined: list[ScoredSpan] = []
    for span in spans:
        touching = [n for n, other in enumerate(joined) if span.ref.overlaps(other.ref)]
        if not touching:
            joined.append(span)
            continue
        start = min(span.ref.start, *(joined[n].ref.start for n in touching))
        end = max(span.ref.end, *(joined[n].ref.end for n in touching))
        best = joined[touching[0]]
        joined[touching[0]] = replace(best, ref=replace(best.ref, start=start, end=end))
        for n in reversed(touching[1:]):
            del joined[n]
    return joined
