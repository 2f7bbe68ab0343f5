"""The documents or spans that a vector store gives back, of what was found for a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from langchain_core.documents import Document

from langchain_endogenous.documents import from_document, from_span
from s3_retriever.integration import Call, Likeness, Work
from s3_retriever.search.filters import Filter
from s3_retriever.types import Document as KeptDocument
from s3_retriever.types import Span

__all__ = ["best_documents", "best_spans"]


def best_spans(query: str, k: int, found: Likeness) -> Iterator[tuple[Document, float]]:
    """Documents that are the query as they are, spans that are it, then the others.

    Args:
        query: what was searched for.
        k: most of them.
        found: for it.
    """
    most = found.highest_score
    whole = [Span(d.id, 0, len(query), query, most, {}, 0, d.metadata) for d in found.same]
    same = {document.id for document in found.same}
    others = [span for span in found.spans if span.doc_id not in same]
    others.sort(key=lambda span: span.text != query)
    for rank, span in enumerate([*whole, *others][:k]):
        score = 1.0 if span.text == query else _share(span, most)
        yield from_span(replace(span, rank=rank)), score


def best_documents(
    k: int, filter: Filter | None, found: Likeness
) -> Work[list[tuple[Document, float]]]:
    """Documents of the query's text, others by their best span, then any until ``k``.

    Args:
        k: how many.
        filter: which may fill up.
        found: for the query.
    """
    scores = {document.id: 1.0 for document in found.same}
    for span in found.spans:
        scores.setdefault(span.doc_id, _share(span, found.highest_score))
    if len(scores) < k:
        some: list[str] = yield Call("ids", (filter, k))
        for doc_id in some:
            scores.setdefault(doc_id, 0.0)
    best = sorted(scores, key=lambda i: -scores[i])  # stable: of equals, the query's own text
    there: list[KeptDocument] = []
    while best and len(there) < k:  # one may have been deleted since
        wanted, best = best[: k - len(there)], best[k - len(there) :]
        there += yield Call("get_many", (wanted,))
    return [(from_document(document), scores[document.id]) for document in there]


def _share(span: Span, most: float) -> float:
    return min(1.0, span.score / most) if most > 0 else 0.0
