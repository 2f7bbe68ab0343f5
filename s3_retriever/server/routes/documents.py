"""``/v1/documents``: adding, changing, deleting and looking at documents."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import TypeAdapter

from s3_retriever.engine import Engine
from s3_retriever.giving import as_document
from s3_retriever.server.asking import CallerHere, ResidentHere, Writer, allowed
from s3_retriever.server.failures import Failure
from s3_retriever.server.schemas.base import FilterField, Namespace
from s3_retriever.server.schemas.documents import (
    AddRequest,
    ChangeRequest,
    ChangeResponse,
    DeleteRequest,
    DocumentBody,
    DocumentPage,
    GetRequest,
    GetResponse,
    JobBody,
    ListedDocument,
    PutRequest,
)
from s3_retriever.types import Document
from s3_retriever.validation import problem_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/documents", tags=["documents"])

DocumentId = Annotated[str, Path(min_length=1, max_length=4096)]
_FILTER: TypeAdapter[dict[str, Any]] = TypeAdapter(FilterField)
OfNamespace = Annotated[Namespace | None, Query()]


@router.post("", status_code=202)
def add(asked: AddRequest, resident: ResidentHere, caller: Writer) -> JobBody:
    """Have documents read; one whose id is there is replaced.

    The job goes on when the client is gone, and after a restart of the server: ask
    ``/v1/jobs/{id}`` what became of it.
    """
    documents = [as_document(d) if isinstance(d, str) else d.document() for d in asked.documents]
    return resident.jobs.submit(allowed(caller, asked.namespace), documents, asked.on_error)


@router.get("")
def page(
    resident: ResidentHere,
    caller: CallerHere,
    filter: Annotated[str | None, Query(description="Condition on metadata, as JSON.")] = None,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    namespace: OfNamespace = None,
) -> DocumentPage:
    """Ids and metadata of documents, a page at a time, in the order of addition.

    A document that is replaced moves to the end.
    """
    engine = resident.engine_of(allowed(caller, namespace))
    ids = engine.ids(_filter(filter))
    first = 0
    if after is not None:
        if after not in ids:  # it was deleted meanwhile: nobody knows where it stood
            raise Failure(409, "the document to go on after is not there any more; begin anew")
        first = ids.index(after) + 1
    shown = ids[first : first + limit]
    view = engine.documents.view
    listed = [ListedDocument(id=i, metadata=dict(view.metadata(i))) for i in shown if i in view]
    more = first + limit < len(ids)
    return DocumentPage(documents=listed, total=len(ids), next=shown[-1] if more else None)


@router.patch("")
def change(asked: ChangeRequest, resident: ResidentHere, caller: Writer) -> ChangeResponse:
    """Replace documents' metadata without reading their texts again."""
    engine = resident.engine_of(allowed(caller, asked.namespace))
    return ChangeResponse(n=engine.update_metadata(asked.metadata))


@router.post("/get")
def get_many(asked: GetRequest, resident: ResidentHere, caller: CallerHere) -> GetResponse:
    """Documents by their ids; those that are not there are left out."""
    engine = resident.engine_of(allowed(caller, asked.namespace))
    found = (engine.get(doc_id) for doc_id in asked.ids)
    return GetResponse(documents=[_body(document) for document in found if document is not None])


@router.post("/delete")
def delete_many(asked: DeleteRequest, resident: ResidentHere, caller: Writer) -> ChangeResponse:
    """Remove documents by their ids or by a filter."""
    engine = resident.engine_of(allowed(caller, asked.namespace))
    if asked.ids is not None:
        return ChangeResponse(n=engine.delete(asked.ids) if asked.ids else 0)
    return ChangeResponse(n=engine.delete_where(asked.filter or {}))


@router.get("/{doc_id:path}")
def get(
    doc_id: DocumentId, resident: ResidentHere, caller: CallerHere, namespace: OfNamespace = None
) -> DocumentBody:
    """A document as it was added. An id is any string, never a place in a file system."""
    return _body(_there(resident.engine_of(allowed(caller, namespace)), doc_id))


@router.put("/{doc_id:path}", status_code=202)
def put(doc_id: DocumentId, asked: PutRequest, resident: ResidentHere, caller: Writer) -> JobBody:
    """Add or replace one document."""
    document = Document(doc_id, asked.text, asked.metadata)
    if reason := problem_of(document):
        raise Failure(422, reason)
    return resident.jobs.submit(allowed(caller, asked.namespace), [document], "raise")


@router.delete("/{doc_id:path}")
def delete(
    doc_id: DocumentId, resident: ResidentHere, caller: Writer, namespace: OfNamespace = None
) -> ChangeResponse:
    """Remove one document."""
    engine = resident.engine_of(allowed(caller, namespace))
    _there(engine, doc_id)
    return ChangeResponse(n=engine.delete([doc_id]))


def _there(engine: Engine, doc_id: str) -> Document:
    document = engine.get(doc_id)
    if document is None:
        raise Failure(404, "there is no such document")
    return document


def _body(document: Document) -> DocumentBody:
    return DocumentBody(id=document.id, text=document.text, metadata=dict(document.metadata))


def _filter(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        return _FILTER.validate_python(json.loads(given))
    except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
        raise Failure(422, "filter is no object of JSON, or too large", param="filter") from None
