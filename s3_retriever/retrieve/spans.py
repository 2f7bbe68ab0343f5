"""From peaks to pieces of text with natural bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from s3_retriever.config import DensitySettings, SpanSettings
from s3_retriever.index.segment import Entry, Segment
from s3_retriever.retrieve.candidates import Run
from s3_retriever.retrieve.density import find_peaks, smooth
from s3_retriever.text import sentence_bounds, whole_words

__all__ = ["Piece", "pieces_from_scores"]


@dataclass(frozen=True)
class Piece:
    """A range of characters of a document that one leg proposes, with that leg's score."""

    segment: Segment
    entry: Entry
    start: int
    end: int
    score: float

    def overlaps(self, other: Piece) -> bool:
        """Whether both hold a common character."""
        same = self.entry is other.entry
        return same and self.start < other.end and other.start < self.end

    @property
    def paragraph(self) -> tuple[int, int]:
        """Tells the paragraph (between empty lines) that it begins in from all others."""
        text = self.segment.text(self.entry)
        return id(self.entry), text.rfind("\n\n", 0, self.start)

    @property
    def text(self) -> str:
        """The characters."""
        return self.segment.text(self.entry)[self.start : self.end]


def pieces_from_scores(
    runs: Sequence[Run],
    scores: np.ndarray,
    density: DensitySettings,
    spans: SpanSettings,
) -> list[Piece]:
    """Smooth, find peaks, grow each to a span: best first, without overlap.

    Args:
        runs: the scored tokens.
        scores: ``(n_tokens of all runs,)``.
        density: convolution and peaks.
        spans: growth and bounds.
    """
    if not len(scores):
        return []
    # zeros between runs keep the convolution and the suppression inside each
    gap = density.kernel + density.suppression
    lengths = np.array([len(run) for run in runs])
    begins = np.concatenate([[0], np.cumsum(lengths + gap)[:-1]])
    spread = np.zeros(int((lengths + gap).sum()))
    spread[np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(len(scores))] = (
        scores
    )
    smoothed = smooth(spread, density.kernel)
    pieces = []
    for peak in find_peaks(smoothed, density):
        number = int(np.searchsorted(begins, peak, side="right")) - 1
        run, begin = runs[number], int(begins[number])
        local = smoothed[begin : begin + len(run)]
        at = min(peak - begin, len(run) - 1)
        first, last = _grow(local, at, spans)
        start = int(run.segment.starts[run.rows[0] + first])
        end = int(run.segment.ends[run.rows[0] + last])
        score = float(smoothed[peak])
        text = run.segment.text(run.entry)
        start, end = (sentence_bounds if spans.sentences else whole_words)(text, start, end)
        if not text[start:end].isspace():  # heads like to look at line ends
            pieces.append(Piece(run.segment, run.entry, start, end, score))
    return _without_overlap(pieces)


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


def _without_overlap(pieces: Sequence[Piece]) -> list[Piece]:
    """Join pieces of a document that overlap; a joined piece keeps the best score and place."""
    joined: list[Piece] = []
    for piece in pieces:
        touching = [n for n, other in enumerate(joined) if piece.overlaps(other)]
        if not touching:
            joined.append(piece)
            continue
        best = joined[touching[0]]
        start = min(piece.start, *(joined[n].start for n in touching))
        end = max(piece.end, *(joined[n].end for n in touching))
        joined[touching[0]] = replace(best, start=start, end=end)
        for n in reversed(touching[1:]):
            del joined[n]
    return joined
