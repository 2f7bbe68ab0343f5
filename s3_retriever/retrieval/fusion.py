"""The union of the legs, in order of merit, filled up to a token budget.

Source: S3-Attention (arXiv 2601.17702), Eq. 8: the union of spans from features, from BM25 and of
the first and last tokens. The paper does not order the union; here the legs' scores, each relative
to its leg's best, are added, so that a tight budget takes first what several legs agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from s3_retriever.retrieval.budget import priced
from s3_retriever.retrieval.memory import Memory
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.storage.base import CodeStore
from s3_retriever.text import fitting_end
from s3_retriever.types import SpanRef

__all__ = ["FusedSpan", "SpanUnion", "fill_budget", "highest_score"]


@dataclass(frozen=True)
class FusedSpan:
    """A range of text and what each leg said of it."""

    ref: SpanRef
    score: float
    scores: Mapping[str, float]


class _Joined(NamedTuple):
    """Spans that overlap, as one."""

    ref: SpanRef
    paragraph: int
    """Number of the paragraph that it begins in, in its document."""
    scores: dict[str, float]
    """The best of each leg."""


class SpanUnion:
    """Spans of all legs so far, those that overlap as one."""

    def __init__(self, store: CodeStore) -> None:
        """Empty; ``store`` gives paragraphs."""
        self._store = store
        self._order: dict[str, int] = {}  # documents, as legs named them first
        self._spans: list[_Joined] = []
        self._best: dict[str, float] = {}

    def add(self, leg: str, spans: Sequence[ScoredSpan]) -> None:
        """Join a leg's spans with those that are there; of two scores of a leg the better counts.

        Args:
            leg: its name.
            spans: best first, with positive scores.
        """
        if not spans:
            return
        self._best[leg] = max(span.score for span in spans)
        for span in spans:
            self._order.setdefault(span.ref.doc_id, len(self._order))
        bounds = {doc_id: self._store.bounds(doc_id) for doc_id in {s.ref.doc_id for s in spans}}
        found = self._spans + [
            _Joined(s.ref, bounds[s.ref.doc_id].paragraph_of(s.ref.start), {leg: s.score})
            for s in spans
        ]
        found.sort(key=lambda item: (self._order[item.ref.doc_id], item.ref.start))
        self._spans = []
        for item in found:
            if self._spans and self._spans[-1].ref.overlaps(item.ref):
                self._spans[-1] = _join(self._spans[-1], item)
            else:
                self._spans.append(item)

    def relative(self) -> dict[str, np.ndarray]:
        """``(n_spans,)`` by leg: its scores relative to its best; 0 where it said nothing."""
        return {
            leg: np.array([span.scores.get(leg, 0.0) for span in self._spans]) / best
            for leg, best in self._best.items()
        }

    def paragraphs(self) -> np.ndarray:
        """``(n_spans,)`` int64: a number for the paragraph that each begins in."""
        numbers: dict[tuple[str, int], int] = {}
        keys = [(span.ref.doc_id, span.paragraph) for span in self._spans]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    def spans(self) -> list[tuple[SpanRef, Mapping[str, float]]]:
        """Ranges and what each leg said of them, in the order of :meth:`relative`."""
        return [(span.ref, span.scores) for span in self._spans]

    def ranked(self, weights: Mapping[str, float], paragraph_weight: float) -> list[FusedSpan]:
        """Spans by the weighted sum of their relative scores, best first.

        A span also gets a share of the best sum in its paragraph: a sentence among good ones is
        likelier evidence.

        Args:
            weights: by leg.
            paragraph_weight: that share.
        """
        total = np.zeros(len(self._spans))
        for leg, values in self.relative().items():
            total += weights[leg] * values
        paragraphs = self.paragraphs()
        best = np.zeros(len(self._spans))
        np.maximum.at(best, paragraphs, total)
        total += paragraph_weight * best[paragraphs]
        return [
            FusedSpan(self._spans[n].ref, float(total[n]), self._spans[n].scores)
            for n in np.argsort(-total, kind="stable")
        ]


def _join(first: _Joined, second: _Joined) -> _Joined:
    """Two spans that overlap, of which ``first`` begins no later."""
    ref = replace(first.ref, end=max(first.ref.end, second.ref.end))
    best = {leg: max(score, first.scores.get(leg, score)) for leg, score in second.scores.items()}
    return _Joined(ref, first.paragraph, first.scores | best)


def highest_score(weights: Mapping[str, float], paragraph_weight: float) -> float:
    """The score of a span that every leg finds best.

    Args:
        weights: of the legs that were asked.
        paragraph_weight: of the paragraph's share.

    Example:
        >>> highest_score({"features": 1.0, "bm25": 1.0}, 0.5)
        3.0
    """
    return sum(weights.values()) * (1 + paragraph_weight)


def fill_budget(
    store: CodeStore,
    fused: Sequence[FusedSpan],
    max_tokens: int | None,
    k: int | None,
    count_tokens: Callable[[str], int],
    memory: Memory | None = None,
) -> list[FusedSpan]:
    """Take spans in order while they fit; one that does not fit makes room for smaller ones.

    If not even the first fits, it is cut after the last word that does. What a span costs is its
    text and the empty line before it (:mod:`~s3_retriever.retrieval.budget`).

    Args:
        store: gives texts.
        fused: best first.
        max_tokens: budget in the model's tokens; ``None`` is no limit.
        k: most spans; ``None`` is no limit.
        count_tokens: the model's own count.
        memory: of the store, for counts of this model's.
    """
    memory = Memory() if memory is None else memory
    taken: list[FusedSpan] = []
    left = max_tokens
    for item in fused:
        if k is not None and len(taken) == k:
            break
        if left == 0:
            break
        if left is not None:
            first = not taken
            cost = _cost(store, item.ref, count_tokens, memory, first=first)
            if cost > left and first:
                item = replace(item, ref=_cut(store, item.ref, left, count_tokens))
                cost = _cost(store, item.ref, count_tokens, memory, first=first)
            if cost > left or item.ref.start == item.ref.end:
                continue
            left -= cost
        taken.append(item)
    return taken


def _cost(
    store: CodeStore,
    ref: SpanRef,
    count_tokens: Callable[[str], int],
    memory: Memory,
    *,
    first: bool,
) -> int:
    key = ("cost", ref, first)
    return memory.kept(key, lambda: count_tokens(priced(store.text(ref), first=first)), lambda _: 0)


def _cut(
    store: CodeStore, ref: SpanRef, budget: int, count_tokens: Callable[[str], int]
) -> SpanRef:
    """The longest beginning that costs at most ``budget`` and ends with a word."""
    text = store.text(ref)
    low, high = 0, len(text)  # invariant: text[:low] fits
    while low < high:
        middle = (low + high + 1) // 2
        if count_tokens(text[:middle]) <= budget:
            low = middle
        else:
            high = middle - 1
    return replace(ref, end=ref.start + fitting_end(text, low))
