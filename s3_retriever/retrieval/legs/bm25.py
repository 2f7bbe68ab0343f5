"""The BM25 leg: the sentences of the candidate blocks, by their words and their headings' words.

Blocks of 64 tokens are the right grain for finding and the wrong one for a tight budget, so the
sentences in them are scored again, with document frequencies of the whole index. What a sentence
speaks of often stands in the heading above it, so that counts as its beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.retrieval.words import bytes_of_counts
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
        words.look_up(context.question_words)
        idf = {word: words.idf(word) for word in dict.fromkeys(context.question_words)}
        found = [_Sentence.of(context, ref) for ref in context.candidate_sentences]
        if not found:
            return []
        mean_length = sum(sentence.length for sentence in found) / len(found) or 1.0
        scores: dict[SpanRef, float] = {}
        for sentence in found:
            shared = [(w, tf) for word, w in idf.items() if (tf := sentence.count(word))]
            if shared:
                norm = _K1 * (1 - _B + _B * sentence.length / mean_length)
                scores[sentence.ref] = sum(w * tf * (_K1 + 1) / (tf + norm) for w, tf in shared)
        best = sorted(scores.items(), key=lambda item: -item[1])
        return [ScoredSpan(ref, s) for ref, s in best[: context.settings.fusion.bm25_spans]]


class _Sentence(NamedTuple):
    """A sentence and its words, with those of its heading unless it is the heading itself."""

    ref: SpanRef
    own: Mapping[str, int]
    above: Mapping[str, int]
    length: int

    @classmethod
    def of(cls, context: LegContext, ref: SpanRef) -> _Sentence:
        return context.memory.kept(("bm25", ref), lambda: cls._read(context, ref), lambda _: 0)

    @classmethod
    def _read(cls, context: LegContext, ref: SpanRef) -> _Sentence:
        paragraph = context.paragraph_of(ref)
        heading = context.headings.of(*paragraph)
        above: Counter[str] = Counter()
        if heading and heading not in context.store.text(ref):
            above = context.memory.kept(
                ("heading's counts", paragraph),
                lambda: Counter(context.words.of(heading, ref.doc_id)),
                bytes_of_counts,
            )
        own = context.words.counts(ref)
        return cls(ref, own, above, own.total() + above.total())

    def count(self, word: str) -> int:
        return self.own.get(word, 0) + self.above.get(word, 0)
