"""The tools: what an agent can do with an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from s3_retriever.errors import InputError
from s3_retriever.giving import named
from s3_retriever.mcp_server.lazy_engine import LazyEngine
from s3_retriever.mcp_server.places import read_around, span_named
from s3_retriever.mcp_server.records import (
    Added,
    FoundSpan,
    ListedDocument,
    Listing,
    Passage,
    Searched,
    briefly,
)
from s3_retriever.retrieval.budget import joined
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import Document

__all__ = ["Tools"]

_PAGE_CHARACTERS = 100_000
"""Of ids and metadata on a page of a listing: clients bound what they take at once."""

_Filter = Annotated[
    dict[str, Any] | None,
    Field(
        description='Condition on the documents\' metadata, e.g. {"year": {"$gte": 1990}, '
        '"lang": "en"}. Operators: $eq $ne $in $nin $gt $gte $lt $lte $exists $match, and '
        "$and $or $not around filters."
    ),
]


class Tools:
    """The tools of one index; each method is one, and blocks while it works."""

    def __init__(self, lazy: LazyEngine) -> None:
        """Take the index and its model, which only some tools wait for."""
        self._lazy = lazy

    def search(
        self,
        question: Annotated[str, Field(description="A question in plain language.")],
        max_tokens: Annotated[
            int, Field(ge=1, le=8192, description="Budget of all spans, in tokens.")
        ] = 512,
        k: Annotated[int | None, Field(ge=1, le=1000, description="At most k spans.")] = None,
        filter: _Filter = None,
        mode: Annotated[
            str,
            Field(
                description="How spans are found: `hybrid` (best, slower), `fast`, `bm25` (words "
                "alone), `features`. Empty: what suits this model and machine."
            ),
        ] = "",
    ) -> Searched:
        """Find the spans of the index that hold the evidence for a question.

        Raises:
            EndogenousError: as :meth:`~s3_retriever.Engine.retrieve`, or there is no model.
        """
        engine = self._lazy.engine()
        found = engine.retrieve(
            question, max_tokens=max_tokens, k=k, filter=filter, mode=mode or None
        )
        spans = [FoundSpan.of(span) for span in found]
        tokens = engine.llm.count_tokens(joined(span.text for span in spans))
        return Searched(spans=spans, tokens=tokens)

    def read(
        self,
        id: Annotated[
            str, Field(description="A document's id, or a span's (docid:start-end) from search.")
        ],
        start: Annotated[
            int | None, Field(ge=0, description="First character wanted. Default: the beginning.")
        ] = None,
        end: Annotated[
            int | None, Field(ge=1, description="One past the last one. Default: the end.")
        ] = None,
        context_tokens: Annotated[
            int,
            Field(
                ge=0,
                le=4096,
                description="Tokens wanted before and after a range that has an end, up to whole "
                "sentences; 0 gives the range exactly.",
            ),
        ] = 128,
    ) -> Passage:
        """Read a part of a document with what is around it; needs no model.

        Raises:
            InputError: there is no such document, or no such place in it.
            IndexStorageError: the text was damaged.
        """
        view = self._lazy.documents.view
        doc_id = id
        if start is None and end is None:
            doc_id, start, end = span_named(view, id)
        return read_around(view, doc_id, start or 0, end, context_tokens)

    def list(
        self,
        filter: _Filter = None,
        limit: Annotated[int, Field(ge=1, le=200, description="Documents on a page.")] = 50,
        after: Annotated[
            str, Field(description="The `next` of the page before; empty for the first page.")
        ] = "",
    ) -> Listing:
        """List the documents of the index; needs no model.

        Raises:
            InputError: no filter, or the document ``after`` is gone.
        """
        view = self._lazy.documents.view
        ids = view.document_ids(filter)
        first = 0
        if after:
            if after not in ids:
                raise InputError(
                    "the document given as `after` is not in this listing (any more); "
                    "list again without it"
                )
            first = ids.index(after) + 1
        documents = [*_page(view, ids[first : first + limit])]
        last = first + len(documents)
        more = last < len(ids)
        return Listing(documents=documents, total=len(ids), next=documents[-1].id if more else "")

    def add(
        self,
        text: Annotated[str, Field(description="The document's text.")],
        id: Annotated[
            str,
            Field(
                description="Its id; a document that has it is replaced. Empty: made of the text."
            ),
        ] = "",
        metadata: Annotated[
            dict[str, Any] | None, Field(description="Any JSON; filters look at it.")
        ] = None,
    ) -> Added:
        """Read a document into the index, durably.

        Raises:
            EndogenousError: as :meth:`~s3_retriever.Engine.add`, or there is no model.
        """
        document = Document(id or named(text).id, text, metadata or {})
        report = self._lazy.engine().add([document], on_error="raise")
        return Added(
            id=document.id,
            status="added" if report.added else "updated" if report.updated else "unchanged",
            tokens=report.tokens_scanned,
        )


def _page(view: CodeStore, ids: list[str]) -> Iterator[ListedDocument]:
    """Records of the first documents, as many as a page holds and at least one."""
    size = 0
    for doc_id in ids:
        record = ListedDocument(
            id=doc_id,
            tokens=len(view.whole_document(doc_id)),
            metadata=briefly(view.metadata(doc_id)),
        )
        size += (own := len(record.model_dump_json()))
        if size > max(_PAGE_CHARACTERS, own):
            return
        yield record
