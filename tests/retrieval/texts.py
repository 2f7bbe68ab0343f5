"""Small texts in memory, and questions about them without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from s3_retriever.models.base import LikelihoodJudge
from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import RetrieveSettings
from s3_retriever.storage.index import Index
from s3_retriever.storage.view import View
from s3_retriever.testing.legs import WordJudge, WordScorer
from s3_retriever.types import EncodedDocument, SpanRef, TokenRange
from tests.storage.conftest import code, random_profile

TEXT = (
    "Skerry Point\nThe lighthouse was finished in 1887. Its first keeper was Anna Lind.\n\n"
    "Bread\nSourdough needs no bought yeast. Flour and water ferment for a week. Then it is baked."
)


def view_of(*documents: EncodedDocument) -> View:
    """A store of coded documents."""
    index = Index(None, random_profile().card)
    with index.writing():
        index.commit(list(documents))
    return index.view


VIEW = view_of(code("a", TEXT))


def ref_of(view: View, doc_id: str, text: str) -> SpanRef:
    """Where a text stands in a document."""
    whole = view.text(SpanRef(doc_id, 0, view.n_characters(doc_id)))
    start = whole.index(text)
    return SpanRef(doc_id, start, start + len(text))


def candidate(text: str) -> FusedSpan:
    """A span of :data:`TEXT`."""
    return FusedSpan(ref_of(VIEW, "a", text), 1.0, {})


def context_of(
    view: View,
    question: str = "Who?",
    *,
    weights: Mapping[str, float],
    settings: RetrieveSettings | None = None,
    found: Sequence[ScoredSpan] = (),
    candidates: Sequence[TokenRange] | None = None,
    scores: np.ndarray | None = None,
    llm: LikelihoodJudge | None = None,
) -> LegContext:
    """A question on a store.

    Args:
        view: the store.
        question: plain text.
        weights: of the legs that are asked.
        settings: by default the usual ones.
        found: what the ``bm25`` leg proposed.
        candidates: in place of what is proposed.
        scores: of the candidates' tokens, in place of a scorer's.
        llm: judges likelihood.
    """
    context = LegContext(
        question,
        store=view,
        search=view.search,
        llm=llm or WordJudge(),
        make_scorer=lambda: WordScorer(question),
        weights=weights,
        look_up_words=True,
        settings=settings or RetrieveSettings(),
        filter=None,
    )
    if candidates is not None:
        context.candidates = list(candidates)
    if scores is not None:
        context.scores = scores
    if found:
        context.add("bm25", found)
    return context
