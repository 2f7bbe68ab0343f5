"""The second hop: text that shares rare words with the best evidence.

The answer to "Who is the mother of the director of X?" stands where the question's own words do
not. The best spans of the first pass name what is missing, so their words, less the question's,
are looked up as well (pseudo-relevance feedback: Rocchio 1971).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import SpanRef

__all__ = ["PseudoRelevanceFeedback"]


@dataclass(frozen=True)
class PseudoRelevanceFeedback:
    """Looks up rare words of the best spans that the question lacks."""

    name: str = "pseudo_relevance_feedback"
    after: tuple[str, ...] = ("features", "bm25", "lead_tail")

    def active(self, settings: RetrieveSettings) -> bool:
        """Always."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """The sentences that share most with the evidence, best first.

        They are looked for among the candidates and in blocks that hold the evidence's words. A
        sentence scores by the words it shares with the piece of evidence that it shares most
        with, times that piece's score relative to the best one's. Sentences of the evidence's own
        paragraph do not score: they share words because they speak of the same.
        """
        settings = context.settings.pseudo_relevance_feedback
        best_spans = context.ranked()[: settings.evidence]
        context.words.look_up(w for e in best_spans for w in context.words.counts(e.ref))
        evidence = [(e, new_words(context, e)) for e in best_spans]
        looked_up = [word for _, weights in evidence for word in weights]
        hits = context.search.search_words(looked_up, settings.blocks, context.filter)
        proposed = context.store.merged([hit.tokens for hit in hits])
        best = max((item.score for item, _ in evidence), default=1.0)
        paragraphs = [context.paragraph_of(item.ref) for item, _ in evidence]
        scores: dict[SpanRef, float] = {}
        for ref in dict.fromkeys(context.candidate_sentences + context.sentences(proposed)):
            words = context.words.counts(ref)
            own = context.paragraph_of(ref)
            shares = [
                item.score / best * _shared(weights, words)
                for (item, weights), paragraph in zip(evidence, paragraphs, strict=True)
                if paragraph != own
            ]
            if shares and max(shares) > 0:
                scores[ref] = max(shares)
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        return [ScoredSpan(ref, score) for ref, score in ranked[: settings.spans]]


def new_words(context: LegContext, evidence: FusedSpan) -> dict[str, float]:
    """Rare words of a span that the question lacks, with their inverse document frequency."""
    words = context.words
    most = max(2.0, context.settings.pseudo_relevance_feedback.max_df * words.n_blocks)
    asked = set(context.question_words_of(evidence.ref.doc_id))
    return {
        word: words.idf(word)
        for word in words.counts(evidence.ref)
        if word not in asked and words.document_frequency(word) <= most
    }


def _shared(weights: Mapping[str, float], words: Mapping[str, int]) -> float:
    """The weights of those words that a sentence has; mostly it has none."""
    if weights.keys().isdisjoint(words):
        return 0.0
    return sum(weight for word, weight in weights.items() if word in words)
