"""The one door of an index: which documents it takes, in which form, and why not the others.

``add``, new metadata, imports and the command line all go through :func:`stored`, so an index holds
nothing that it could not read, show and write again.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from s3_retriever.arguments import DOCUMENTS, checked
from s3_retriever.errors import InputError
from s3_retriever.giving import Givable, as_document
from s3_retriever.plain import items_of, plain_scalar
from s3_retriever.quoting import brief, quoted
from s3_retriever.text import check_text
from s3_retriever.types import Document

__all__ = [
    "BLANK",
    "SortedOut",
    "is_blank",
    "problem_of",
    "sort_out",
    "stored",
    "stored_metadata",
    "usable",
]

logger = logging.getLogger(__name__)

BLANK = "its text is empty or only white space"
"""Why a blank document is left out: it is no mistake of whoever gave it, an empty page say."""

_VISIBLE = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\ufffd\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""A character that leaves a mark: no white space, none that Unicode lets displays ignore, and not
the sign that stands for what could not be decoded."""
_LONGEST_ID = 4096
"""Characters of an id: as long as a path may be."""
_MAX_DEPTH = 64
"""Lists and mappings inside each other: far below what any reader of JSON can follow."""
_MAX_SIZE = 1 << 20
"""Values and characters of a document's metadata, which are kept in memory."""
_INTEGER_BITS = 2126
"""An integer of 640 digits: Python reads those back however it is set up."""


def is_blank(text: str) -> bool:
    r"""Whether a reader would see nothing: no text, white space, characters of no width.

    Example:
        >>> is_blank(" \n\u200b\ufeff"), is_blank("\u200bx")
        (True, False)
    """
    return _VISIBLE.search(text) is None


@dataclass(frozen=True)
class SortedOut:
    """Documents of one call, usable or not."""

    good: dict[str, Document]
    """As they will be stored, by id; the last of an id wins."""
    skipped: dict[str, str]
    """Reasons against the others, by id, or by position where there is no usable one."""
    ids: tuple[str | None, ...]
    """The id of each document that was given, in order; ``None`` for one that cannot be used."""


@checked(documents=DOCUMENTS)
def sort_out(documents: Givable | Iterable[Givable]) -> SortedOut:
    """Split documents into usable ones and reasons against the others.

    See :func:`~s3_retriever.giving.as_document` for the forms they may have.

    Raises:
        InputError: it is nothing that holds documents.
    """
    good: dict[str, Document] = {}
    skipped: dict[str, str] = {}
    ids: list[str | None] = []
    for position, item in enumerate(cast(list[Givable], documents)):
        document: object = item
        try:
            document = as_document(item)
            kept = stored(document)
        except InputError as e:
            skipped[_own_id(item, document) or f"number {position}"] = str(e)
            ids.append(None)
        else:
            good[kept.id] = kept
            ids.append(kept.id)
    return SortedOut(good, skipped, tuple(ids))


def _own_id(given: object, document: object) -> str | None:
    """The id that a document was given with, if it can name it; one made of a text says nothing."""
    made = isinstance(given, str) or (isinstance(given, Mapping) and given.get("id") is None)
    doc_id = document.id if isinstance(document, Document) and not made else None
    return doc_id if isinstance(doc_id, str) else None


def usable(documents: Givable | Iterable[Givable], on_error: Literal["skip", "raise"]) -> SortedOut:
    """The good documents, and the reasons against the others; the log has these, too.

    Args:
        documents: as of ``Engine.add``.
        on_error: as there.

    Raises:
        InputError: with ``raise``, the first bad document; with ``skip``, if all are bad and not
            all are blank; there are none.
    """
    if on_error not in ("skip", "raise"):
        raise InputError(f"on_error is 'skip' or 'raise', not {quoted(on_error)}")
    found = sort_out(documents)
    # blank pages are everywhere, and one alone is no reason to stop who adds one at a time
    faults = {w: r for w, r in found.skipped.items() if on_error == "raise" or r != BLANK}
    if faults and (on_error == "raise" or not found.good):
        where, reason = next(iter(faults.items()))
        raise InputError(f"document {brief(where)}: {reason}")
    if not found.good and not found.skipped:
        raise InputError("there are no documents to add")
    for where, reason in found.skipped.items():
        logger.warning("document %s is left out: %s", brief(where), reason)
    return found


def problem_of(document: object) -> str | None:
    """Why a document cannot be indexed, or ``None``."""
    try:
        stored(document)
    except InputError as e:
        return str(e)
    return None


def stored(document: object) -> Document:
    """A document as an index keeps it: a copy, whose metadata are plain.

    Raises:
        InputError: it cannot be kept; says why, and names the field if it is the metadata.
    """
    if not isinstance(document, Document):
        raise InputError(
            f"it is a {type(document).__name__}, not a Document, a string, a dict with "
            "text and id, or a document of LangChain or LlamaIndex"
        )
    if not isinstance(document.id, str) or not document.id:
        raise InputError("its id must be a string that is not empty")
    if len(document.id) > _LONGEST_ID:
        raise InputError(f"its id has more than {_LONGEST_ID} characters")
    text = document.text
    if not isinstance(text, str):
        raise InputError(f"its text is {type(text).__name__}, not a string; decode bytes first")
    if is_blank(text):
        raise InputError(BLANK)
    if "\x00" in text:
        raise InputError("its text holds NUL characters: it looks like a binary file, not text")
    check_text(document.id)
    check_text(text)
    return replace(document, metadata=stored_metadata(document.metadata))


def stored_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as an index gives them back: the values that JSON knows, and no others.

    Single values go through :func:`~s3_retriever.plain.plain_scalar`; tuples, sets and arrays
    become lists.

    Example:
        >>> from datetime import date
        >>> stored_metadata({"seen": date(1902, 3, 1), "by": ("Lena",), "price": float("nan")})
        {'seen': '1902-03-01', 'by': ['Lena'], 'price': None}

    Raises:
        InputError: a value that has no plain form, is infinite, or is nested too deep; a name that
            is no string; more than the metadata of one document may hold. Names the field.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"its metadata is {type(metadata).__name__}, not a mapping")
    return _Plain().mapping(metadata, "", 0)


class _Plain:
    """Plain values of one document's metadata, counted on the way.

    Errors name the outermost field: what is inside of it may be anybody's text.
    """

    def __init__(self) -> None:
        self._left = _MAX_SIZE

    def mapping(self, given: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
        """A mapping whose names are strings."""
        kept: dict[str, Any] = {}
        for key, value in given.items():
            if not isinstance(key, str):
                inside = f" of field {quoted(where)}" if where else ""
                kind = type(key).__name__
                raise InputError(f"its metadata{inside} have a name that is {kind}, no string")
            name = str(plain_scalar(key))
            field = where or name
            if name in kept:
                raise InputError(
                    f"its metadata field {quoted(field)} holds or is a name that is twice"
                )
            self._count(len(name))
            kept[name] = self.value(value, field, depth + 1)
        return kept

    def value(self, given: Any, where: str, depth: int) -> Any:
        """A value and what it holds."""
        self._count(1)
        if depth > _MAX_DEPTH:
            raise InputError(
                f"its metadata field {quoted(where)} is nested more than {_MAX_DEPTH} times"
            )
        if isinstance(given, Mapping):
            return self.mapping(given, where, depth)
        if (items := items_of(given)) is not None:
            return [self.value(item, where, depth + 1) for item in items]
        try:
            plain = plain_scalar(given)
        except InputError as e:
            raise InputError(
                f"its metadata field {quoted(where)} cannot be stored as JSON: {e}"
            ) from e
        if isinstance(plain, str):
            self._count(len(plain))
        elif isinstance(plain, float) and not math.isfinite(plain):
            raise InputError(
                f"its metadata field {quoted(where)} is infinite, which JSON has no word for"
            )
        elif isinstance(plain, int) and plain.bit_length() > _INTEGER_BITS:
            raise InputError(
                f"its metadata field {quoted(where)} is an integer of more than 640 digits"
            )
        return plain

    def _count(self, n: int) -> None:
        self._left -= n
        if self._left < 0:
            raise InputError(f"its metadata hold more than {_MAX_SIZE:,} values and characters")
