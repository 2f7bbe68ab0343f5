"""The lead/tail leg: first and last tokens of the best document (S3-Attention, Eq. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.spans import ScoredSpan, widened_to_words
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import TokenRange

__all__ = ["LeadTail"]


@dataclass(frozen=True)
class LeadTail:
    """What a text begins and ends with."""

    name: str = "lead_tail"
    after: tuple[str, ...] = ("features", "bm25")

    def active(self, settings: RetrieveSettings) -> bool:
        """Where tokens are asked for."""
        return bool(settings.fusion.lead_tokens or settings.fusion.tail_tokens)

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """At most two ranges, whole words."""
        first = next((spans for spans in context.found.values() if spans), None)
        if first is None:
            return []
        whole = context.store.whole_document(first[0].ref.doc_id)
        settings = context.settings.fusion
        ranges = [
            TokenRange(whole.doc_id, 0, min(settings.lead_tokens, whole.last)),
            TokenRange(whole.doc_id, max(whole.last - settings.tail_tokens, 0), whole.last),
        ]
        places = context.store.characters([tokens for tokens in ranges if len(tokens)])
        return [ScoredSpan(widened_to_words(context.store, ref), 1.0) for ref in places]
