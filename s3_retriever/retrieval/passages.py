"""Passages: whole sentences around candidates, read or judged together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.memory import Memory
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef

__all__ = ["Passage", "find_passages", "passage_around"]

_CHARACTERS_A_TOKEN = 8
"""More than a token has on average in any language: how far around a candidate to look."""
_SENTENCE = 128
"""Bytes of a passage for each of its sentences."""


@dataclass(frozen=True)
class Passage:
    """Consecutive sentences of one paragraph, read together."""

    ref: SpanRef
    sentences: tuple[tuple[int, int], ...]

    def scored(self, score: float) -> Iterator[ScoredSpan]:
        """Its sentences, each with the same score."""
        for start, end in self.sentences:
            yield ScoredSpan(SpanRef(self.ref.doc_id, start, end), score)


def find_passages(
    store: CodeStore, fused: Sequence[FusedSpan], most: int, memory: Memory | None = None
) -> Iterator[Passage]:
    """The surroundings of candidates, in their order; those inside an earlier passage are skipped.

    Args:
        store: gives bounds.
        fused: candidates, best first.
        most: tokens of the longest passage; a longer paragraph is cut around its candidate.
        memory: of the store.
    """
    memory = Memory() if memory is None else memory
    found: dict[str, list[Passage]] = {}
    for item in fused:
        earlier = found.setdefault(item.ref.doc_id, [])
        if not any(passage.ref.holds(item.ref) for passage in earlier):
            earlier.append(passage_around(store, item.ref, most, memory))
            yield earlier[-1]


def passage_around(store: CodeStore, ref: SpanRef, most: int, memory: Memory) -> Passage:
    """Whole sentences around a range, up to ``most`` tokens, inside its paragraph."""
    return memory.kept(
        ("passage", ref, most),
        lambda: _around(store, ref, most),
        lambda passage: _SENTENCE * len(passage.sentences),
    )


def _around(store: CodeStore, ref: SpanRef, most: int) -> Passage:
    bounds = store.bounds(ref.doc_id)
    reach = _CHARACTERS_A_TOKEN * most
    low, high = max(0, ref.start - reach), ref.end + reach
    if (first := bounds.paragraph_of(ref.start)) >= 0:
        low = max(low, int(bounds.paragraphs[first, 0]))
    if (last := bounds.paragraph_of(max(ref.start, ref.end - 1))) >= 0:
        high = min(high, max(ref.end, int(bounds.paragraphs[last, 1])))
    near = bounds.sentences_over(low, high)
    inside = [n for n, (start, end) in enumerate(near) if start < ref.end and ref.start < end]
    if not inside:
        return Passage(ref, ((ref.start, ref.end),))

    def fits(first: int, last: int) -> bool:
        within = first >= 0 and last < len(near)
        return (
            within
            and store.count_tokens(SpanRef(ref.doc_id, near[first][0], near[last][1])) <= most
        )

    first, last = inside[0], inside[-1]
    grown = True
    while grown:  # a sentence before, a sentence after, in turn
        grown = False
        for lower, upper in ((first - 1, last), (first, last + 1)):
            if fits(lower, upper):
                first, last, grown = lower, upper, True
    return Passage(
        SpanRef(ref.doc_id, near[first][0], near[last][1]), tuple(near[first : last + 1])
    )
