"""``/v1/files``: documents as files of any kind that the library reads."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from s3_retriever.plain import plain_text
from s3_retriever.quoting import quoted
from s3_retriever.readers.base import UnreadableError
from s3_retriever.readers.files import read_content
from s3_retriever.server.asking import ResidentHere, Writer, allowed
from s3_retriever.server.failures import Failure
from s3_retriever.server.schemas.base import Namespace
from s3_retriever.server.schemas.documents import JobBody
from s3_retriever.types import Document

__all__ = ["router"]

router = APIRouter(prefix="/v1/files", tags=["documents"])


@router.post("", status_code=202)
def upload(
    files: Annotated[list[UploadFile], File()],
    resident: ResidentHere,
    caller: Writer,
    namespace: Annotated[Namespace | None, Form()] = None,
) -> JobBody:
    """Have files read, of any kind that the library reads. A document's id is its file's bare name.

    If one of them cannot be read, none is.
    """
    documents = [_document(file) for file in files]
    return resident.jobs.submit(allowed(caller, namespace), documents, "raise")


def _document(file: UploadFile) -> Document:
    name = plain_text(PurePosixPath((file.filename or "").replace("\\", "/")).name)
    if name in ("", ".."):
        raise Failure(422, "a file has no name", param="files")
    try:
        content = read_content(file.file.read(), PurePosixPath(name).suffix)
    except UnreadableError as e:
        raise Failure(422, f"file {quoted(name)}: {e}", param="files") from None
    return Document(name, content.text, {**content.metadata, "title": content.title or name})
