"""Documents, and the jobs that read them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from s3_retriever.server.schemas.base import FilterField, Namespace, Request, Response
from s3_retriever.types import Document

__all__ = [
    "AddReportBody",
    "AddRequest",
    "ChangeRequest",
    "ChangeResponse",
    "DeleteRequest",
    "DocumentBody",
    "DocumentPage",
    "GetRequest",
    "GetResponse",
    "InfoResponse",
    "JobBody",
    "JobList",
    "JobState",
    "ListedDocument",
    "PutRequest",
]

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
"""Of a job; the last three are its end."""
_MOST_IDS = 10_000


class DocumentBody(Request):
    """A text with the id it is kept under.

    Example:
        >>> DocumentBody(id="readme", text="Hello.").document()
        Document(id='readme', text='Hello.', metadata={})
    """

    id: Annotated[str, Field(min_length=1, max_length=4096)]
    text: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Values as JSON knows them."""

    def document(self) -> Document:
        """The document as the library knows it."""
        return Document(self.id, self.text, self.metadata)


class AddRequest(Request):
    """Documents to be read; one whose id is there is replaced, an unchanged one not read again."""

    documents: Annotated[list[DocumentBody | str], Field(min_length=1)]
    """A plain string gets an id made from its contents."""
    namespace: Namespace | None = None
    on_error: Literal["skip", "raise"] = "skip"
    """What a document does that cannot be kept: it is left out and reported, or all are."""


class PutRequest(Request):
    """One document's text and metadata; its id is in the path."""

    text: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    namespace: Namespace | None = None


class AddReportBody(Response):
    """What became of the documents."""

    added: list[str] = Field(default_factory=list)
    """Ids that were new."""
    updated: list[str] = Field(default_factory=list)
    """Ids whose text or metadata changed."""
    unchanged: list[str] = Field(default_factory=list)
    """Ids that were there as they were given; nothing was read."""
    skipped: dict[str, str] = Field(default_factory=dict)
    """Reason by id, or by position of a document without a usable id."""
    tokens_scanned: int = 0
    ids: list[str | None] = Field(default_factory=list)
    """The id of each document that was given, in order; null for one that was left out."""


class JobBody(Response):
    """Documents being read, which goes on when the client that gave them is gone."""

    id: str
    state: JobState
    namespace: str | None
    created: str
    """When it was given, ISO 8601 in UTC."""
    documents: int
    """How many were given."""
    characters: int
    """Of all their texts."""
    characters_read: int
    """So far; a text that is there already is never read."""
    tokens_read: int
    """So far."""
    error: str | None = None
    """Why it failed."""
    report: AddReportBody | None = None
    """Once it is done."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed", "cancelled")


class JobList(Response):
    """Jobs, the newest first."""

    jobs: list[JobBody]


class ListedDocument(Response):
    """A document in a list: without its text."""

    id: str
    metadata: dict[str, Any]


class DocumentPage(Response):
    """Some documents, in the order of addition."""

    documents: list[ListedDocument]
    total: int
    """Documents that pass the filter."""
    next: str | None
    """The last id of this page, which the next request gives as ``after``; null at the end."""


class GetRequest(Request):
    """Documents by their ids."""

    ids: Annotated[list[str], Field(max_length=_MOST_IDS)]
    namespace: Namespace | None = None


class GetResponse(Response):
    """Those that are there, in the order asked for."""

    documents: list[DocumentBody]


class DeleteRequest(Request):
    """Documents to be removed: by their ids or by their metadata."""

    ids: Annotated[list[str], Field(max_length=_MOST_IDS)] | None = None
    filter: FilterField | None = None
    namespace: Namespace | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> DeleteRequest:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        return self


class ChangeRequest(Request):
    """New metadata by id; no text is read again."""

    metadata: Annotated[dict[str, dict[str, Any]], Field(max_length=_MOST_IDS)]
    namespace: Namespace | None = None


class ChangeResponse(Response):
    """How many documents were there."""

    n: int


class InfoResponse(Response):
    """What the server holds."""

    version: str
    model: str
    profile: str
    window: int
    """Most tokens the model takes at once."""
    documents: int
    tokens: int
    namespace: str | None
    """Which these counts are of."""
    namespaces: list[str]
    """Those that the token may name."""
    modes: list[str]
    default_mode: str
    writable: bool
    """Whether the token may add and delete."""
