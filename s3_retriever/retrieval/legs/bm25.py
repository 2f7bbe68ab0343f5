"""The BM25 leg: the sentences of the candidate blocks, by their words and their headings' words.

Blocks of 64 tokens are the right grain for finding and the wrong one for a tight budget, so the
sentences in them are scored again, with document frequencies of the whole index. What a sentence
speaks of often stands in the heading above it, so that counts as its beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import SpanRef

__all__ = ["BM25"]

_K1 = 1.2
_B = 0.75


@dataclass(frozen=True)
class BM25:
    """Sentences that share a word with the question, by BM25 (k1 1.2, b 0.75)."""

    name: str = "bm25"
    after: tuple[str, ...] = ()

    def active(self, settings: RetrieveSettings) -> bool:
        """Always."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """The best sentences, best first."""
        words = context.words
        idf = {word: words.idf(word) for word in dict.fromkeys(context.question_words)}
        found = [(ref, _counts(context, ref)) for ref in context.sentences(context.candidates)]
        if not found:
            return []
        mean_length = sum(counts.total() for _, counts in found) / len(found) or 1.0
        scores: dict[SpanRef, float] = {}
        for ref, counts in found:
            norm = _K1 * (1 - _B + _B * counts.total() / mean_length)
            shared = [(weight, counts[word]) for word, weight in idf.items() if counts[word]]
            if shared:
                scores[ref] = sum(w * tf * (_K1 + 1) / (tf + norm) for w, tf in shared)
        best = sorted(scores.items(), key=lambda item: -item[1])
        return [ScoredSpan(ref, s) for ref, s in best[: context.settings.fusion.bm25_spans]]


def _counts(context: LegContext, ref: SpanRef) -> Counter[str]:
    """Words of a sentence, with those of its heading unless it is the heading itself."""
    own = context.words.counts(ref)
    heading = context.headings.of(*context.paragraph_of(ref))
    if not heading or heading in context.store.text(ref):
        return own
    return own + Counter(context.search.words(heading))
