"""Which documents can be indexed, and why not the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.text import check_text
from s3_retriever.types import Document

__all__ = ["problem_of", "sort_out", "stored_metadata"]


def sort_out(
    documents: Iterable[Document | str],
) -> tuple[dict[str, Document], dict[str, str]]:
    """Split documents into usable ones by id (the last of an id wins) and reasons by id.

    A plain string gets an id made from its contents; a document without a usable id is named by
    its position.
    """
    good: dict[str, Document] = {}
    skipped: dict[str, str] = {}
    for position, item in enumerate(documents):
        document = _named(item) if isinstance(item, str) else item
        reason = problem_of(document)
        if reason is None:  # a copy, so that nobody changes the index by changing his own dict
            good[document.id] = replace(document, metadata=stored_metadata(document.metadata))
        else:
            named = isinstance(document, Document) and isinstance(document.id, str)
            skipped[document.id if named and document.id else f"number {position}"] = reason
    return good, skipped


def _named(text: str) -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(digest[:16], text)


def problem_of(document: object) -> str | None:
    """Why a document cannot be indexed, or ``None``."""
    if not isinstance(document, Document):
        return f"it is a {type(document).__name__}, not a Document or a string"
    if not isinstance(document.id, str) or not document.id:
        return "its id must be a string that is not empty"
    if not isinstance(document.text, str):
        return f"its text is {type(document.text).__name__}, not a string; decode bytes first"
    if not document.text.strip():
        return "its text is empty or only white space"
    if "\x00" in document.text:
        return "its text holds NUL characters: it looks like a binary file, not like text"
    try:
        check_text(document.id)
        check_text(document.text)
        json.dumps(stored_metadata(document.metadata), allow_nan=False).encode("utf-8")
    except InputError as e:
        return str(e)
    except (TypeError, ValueError) as e:
        return f"its metadata cannot be stored as JSON: {e}"
    return None


def stored_metadata(metadata: Mapping[str, Any]) -> Any:
    """Metadata as the index will give it back: tuples become lists, dates ISO 8601 strings.

    Example:
        >>> from datetime import date
        >>> stored_metadata({"seen": date(1902, 3, 1), "by": ("Lena",)})
        {'seen': '1902-03-01', 'by': ['Lena']}

    Raises:
        TypeError, ValueError: a value that JSON does not know.
    """
    return json.loads(json.dumps(dict(metadata), default=_date_text))


def _date_text(value: object) -> str:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no type of JSON")
