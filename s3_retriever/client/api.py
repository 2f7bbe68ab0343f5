"""What a server is asked, and what its responses mean: the same for who waits and who awaits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from s3_retriever.arguments import (
    CALLBACK,
    CHANGES,
    DOCUMENTS,
    FILTER,
    IDS,
    NAME,
    REFS,
    SOME_COUNT,
    SOME_NAME,
    SPAN,
    TEXT,
    checked,
)
from s3_retriever.client.records import FoundSpans, joined_reports, parsed
from s3_retriever.client.texts import TextsApi
from s3_retriever.client.transport import Ask, Steps, as_json
from s3_retriever.errors import IndexLockedError, ServerError
from s3_retriever.giving import Givable
from s3_retriever.search.filters import Filter
from s3_retriever.server.schemas.documents import (
    AddReportBody,
    ChangeResponse,
    DocumentPage,
    GetResponse,
    InfoResponse,
    JobBody,
    ListedDocument,
)
from s3_retriever.server.schemas.search import (
    ExplainResponse,
    SearchResponse,
    SimilaritiesResponse,
)
from s3_retriever.settings import Mode, Scoring
from s3_retriever.types import AddReport, Document, Span, SpanRef
from s3_retriever.validation import stored_metadata, usable

__all__ = ["Api"]

_PART_CHARACTERS = 4 << 20
"""Of documents in one request: also spelled out as JSON it is below what a server takes."""
_PART_IDS = 1000
_PAGE = 1000
_WAIT_SECONDS = 20.0
_PROGRESS_SECONDS = 0.5
_TRIES = 3
"""Times that a list is begun which others change meanwhile."""


class Api(TextsApi):
    """The requests of one namespace, as steps that a transport sends."""

    def __init__(self, namespace: str | None) -> None:
        """Ask in a namespace.

        Args:
            namespace: ``None`` is the token's first one, or the server's index.
        """
        self.namespace = namespace
        self._highest: dict[str | None, float] = {}

    @checked(
        question=TEXT,
        max_tokens=SOME_COUNT,
        k=SOME_COUNT,
        filter=FILTER,
        mode=SOME_NAME,
        scoring=SOME_NAME,
    )
    def retrieve(
        self,
        question: str,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        token_scores: bool = False,
    ) -> Steps[FoundSpans]:
        """Find the text that the model would attend to for ``question``.

        Arguments are those of :meth:`s3_retriever.Engine.retrieve`; settings of single stages are
        the server's.

        Raises:
            InputError: the question or an argument cannot be used.
            ServerError: the server cannot be reached, or refuses.
        """
        asked = {
            "question": question,
            "max_tokens": max_tokens,
            "k": k,
            "filter": filter,
            "mode": mode,
            "scoring": scoring,
            "token_scores": token_scores,
        }
        response = yield self._post("/v1/search", asked)
        found = parsed(SearchResponse, response)
        self._highest[mode] = found.highest_score
        return FoundSpans.of(found, question)

    @checked(mode=SOME_NAME)
    def highest_score(self, mode: Mode | None = None) -> Steps[float]:
        """The score of a span that every leg of a mode finds best; known from its last search.

        Raises:
            ServerError: as :meth:`retrieve`.
        """
        if mode not in self._highest:
            yield from self.retrieve("?", k=1, mode=mode)
        return self._highest[mode]

    @checked(documents=DOCUMENTS, on_progress=CALLBACK)
    def add(
        self,
        documents: Givable | Iterable[Givable],
        *,
        on_error: Literal["skip", "raise"] = "skip",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Steps[AddReport]:
        """Have documents read and put into the index; one whose id is there is replaced.

        They are checked here and sent in parts of some megabytes; a part that has been sent is
        read to its end even if this process is gone.

        Args:
            documents: one or several, each a Document, a string (whose id is made from its
                contents), a dict with ``text`` and, if need be, ``id`` and ``metadata``, or a
                document of LangChain or LlamaIndex, kept as their own components keep it.
            on_error: what a document does that cannot be kept: it is left out and reported, or
                nothing is sent.
            on_progress: called with the tokens and the characters read since the last call.

        Raises:
            InputError: with ``raise``, the first bad document; with ``skip``, if all are bad and
                not all are blank.
            ServerError: the server cannot be reached, refuses, or failed to read them.
        """
        sorted_out = usable(documents, on_error)
        reports: list[AddReportBody] = []
        for part in _parts(sorted_out.good.values()):
            response = yield self._post("/v1/documents", {"documents": part, "on_error": on_error})
            job = yield from self._ended(parsed(JobBody, response), on_progress)
            if job.report is None:
                raise ServerError(f"the documents were not added: {job.error or job.state}")
            reports.append(job.report)
        return joined_reports(reports, sorted_out.skipped, sorted_out.ids)

    @checked(ids=IDS)
    def delete(self, ids: Iterable[str]) -> Steps[int]:
        """Remove documents; returns how many were there.

        Args:
            ids: of the documents; a string is one id.

        Raises:
            InputError: something else than strings.
            ServerError: as :meth:`retrieve`.
        """
        n = 0
        for part in _slices(list(ids), _PART_IDS):
            response = yield self._post("/v1/documents/delete", {"ids": part})
            n += parsed(ChangeResponse, response).n
        return n

    @checked(filter=FILTER)
    def delete_where(self, filter: Filter) -> Steps[int]:
        """Remove the documents whose metadata pass ``filter``; returns how many.

        Raises:
            InputError: an empty or wrong filter.
            ServerError: as :meth:`retrieve`.
        """
        response = yield self._post("/v1/documents/delete", {"filter": filter})
        return parsed(ChangeResponse, response).n

    @checked(changes=CHANGES)
    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> Steps[int]:
        """Replace documents' metadata, by id; returns how many documents were there.

        Raises:
            InputError: metadata that cannot be stored.
            ServerError: as :meth:`retrieve`.
        """
        body = self._named({"metadata": {i: stored_metadata(m) for i, m in changes.items()}})
        response = yield Ask("PATCH", "/v1/documents", body)
        return parsed(ChangeResponse, response).n

    @checked(doc_id=NAME)
    def get(self, doc_id: str) -> Steps[Document | None]:
        """A document as it was added, or ``None``.

        Raises:
            ServerError: as :meth:`retrieve`.
        """
        found = yield from self.get_many([doc_id])
        return found[0] if found else None

    @checked(ids=IDS)
    def get_many(self, ids: Iterable[str]) -> Steps[list[Document]]:
        """Documents as they were added, each once; those that are not there are left out.

        Raises:
            ServerError: as :meth:`retrieve`.
        """
        found: list[Document] = []
        for part in _slices(list(dict.fromkeys(ids)), _PART_IDS):
            response = yield self._post("/v1/documents/get", {"ids": part})
            found += [body.document() for body in parsed(GetResponse, response).documents]
        return found

    @checked(filter=FILTER, limit=SOME_COUNT)
    def ids(self, filter: Filter | None = None, limit: int | None = None) -> Steps[list[str]]:
        """Ids of documents whose metadata pass ``filter``, in order of addition.

        Args:
            filter: ``None`` passes all.
            limit: most ids.

        Raises:
            InputError: an unknown operator.
            ServerError: as :meth:`retrieve`.
        """
        listed = yield from self._list(filter, limit)
        return [document.id for document in listed]

    @checked(filter=FILTER)
    def metadata(self, filter: Filter | None = None) -> Steps[list[tuple[str, dict[str, Any]]]]:
        """Each document's id and metadata, in order of addition.

        Raises:
            ServerError: as :meth:`retrieve`.
        """
        listed = yield from self._list(filter, None)
        return [(document.id, document.metadata) for document in listed]

    @checked(question=TEXT, span=SPAN)
    def explain(self, question: str, span: Span) -> Steps[ExplainResponse]:
        """Which tokens, heads and features made the model look at a span.

        Args:
            question: plain text.
            span: of an indexed document.

        Raises:
            InputError: there is no such place.
            ServerError: as :meth:`retrieve`.
        """
        place = {"doc_id": span.doc_id, "start": span.start, "end": span.end}
        response = yield self._post("/v1/explain", {"question": question, **place})
        return parsed(ExplainResponse, response)

    @checked(refs=REFS)
    def similarities(self, refs: Sequence[SpanRef]) -> Steps[np.ndarray]:
        """How alike pieces of indexed texts are, by the model's features in them.

        Args:
            refs: at most 256 places.

        Returns:
            ``(n, n)`` float64 cosines from 0 to 1.

        Raises:
            InputError: there is no such place, or there are too many.
            ServerError: as :meth:`retrieve`.
        """
        places = [{"doc_id": r.doc_id, "start": r.start, "end": r.end} for r in refs]
        if not places:
            return np.zeros((0, 0))
        response = yield self._post("/v1/similarities", {"places": places})
        return np.array(parsed(SimilaritiesResponse, response).similarities)

    def info(self) -> Steps[InfoResponse]:
        """The model, the profile, and how much the namespace holds.

        Raises:
            ServerError: as :meth:`retrieve`.
        """
        response = yield Ask("GET", "/v1/info", params=self._named({}))
        return parsed(InfoResponse, response)

    @checked(filter=FILTER)
    def count(self, filter: Filter | None = None) -> Steps[int]:
        """Number of documents, or of those whose metadata pass ``filter``.

        Raises:
            InputError: an unknown operator.
            ServerError: as :meth:`retrieve`.
        """
        if filter is None:
            found = yield from self.info()
            return found.documents
        params = self._named({"limit": 1, "filter": as_json(filter)})
        response = yield Ask("GET", "/v1/documents", params=params)
        return parsed(DocumentPage, response).total

    def _post(self, path: str, body: dict[str, Any]) -> Ask:
        return Ask("POST", path, self._named(body))

    def _named(self, body: dict[str, Any]) -> dict[str, Any]:
        return body if self.namespace is None else body | {"namespace": self.namespace}

    def _ended(
        self, job: JobBody, on_progress: Callable[[int, int], None] | None
    ) -> Steps[JobBody]:
        """A job once it has ended."""
        wait = _PROGRESS_SECONDS if on_progress else _WAIT_SECONDS
        while True:
            if job.ended:
                return job
            path = f"/v1/jobs/{job.id}"
            response = yield Ask("GET", path, params={"wait": wait}, waits=wait)
            before, job = job, parsed(JobBody, response)
            tokens = job.tokens_read - before.tokens_read
            characters = job.characters_read - before.characters_read
            if on_progress and (tokens > 0 or characters > 0):
                on_progress(max(tokens, 0), max(characters, 0))

    def _list(self, filter: Filter | None, limit: int | None) -> Steps[list[ListedDocument]]:
        for trial in range(1, _TRIES + 1):
            try:
                found = yield from self._pages(filter, limit)
            except IndexLockedError:  # the last of a page was deleted before the next
                if trial == _TRIES:
                    raise
            else:
                return found
        raise AssertionError("the last trial returns or raises")

    def _pages(self, filter: Filter | None, limit: int | None) -> Steps[list[ListedDocument]]:
        found: list[ListedDocument] = []
        after: str | None = None
        while True:
            params = self._named({"limit": _PAGE if limit is None else min(limit, _PAGE)})
            if filter is not None:
                params["filter"] = as_json(filter)
            if after is not None:
                params["after"] = after
            response = yield Ask("GET", "/v1/documents", params=params)
            page = parsed(DocumentPage, response)
            found += page.documents
            after = page.next
            if after is None or (limit is not None and len(found) >= limit):
                return found[:limit]


def _slices(items: Sequence[str], n: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(items), n):
        yield items[first : first + n]


def _parts(documents: Iterable[Document]) -> Iterator[list[dict[str, Any]]]:
    """Documents as they are sent, so many at a time as a request may hold."""
    part: list[dict[str, Any]] = []
    characters = 0
    for document in documents:
        if part and characters + len(document.text) > _PART_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append({"id": document.id, "text": document.text, "metadata": document.metadata})
        characters += len(document.text)
    if part:
        yield part
