"""Places in documents: what a span's id means, and what stands around a range."""

from __future__ import annotations

import re

from s3_retriever.errors import InputError
from s3_retriever.mcp_server.records import Passage, briefly
from s3_retriever.quoting import quoted
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef, TokenRange

__all__ = ["read_around", "span_named"]

_MOST_CHARACTERS = 16_000
"""Of one reading, about 4,000 tokens; who wants more reads on."""
_MOST_CONTEXT = _MOST_CHARACTERS // 4
"""Characters on each side, however long its tokens are."""

_SPAN = re.compile(r"(.+):([0-9]{1,15})-([0-9]{1,15})", re.DOTALL)


def span_named(view: CodeStore, name: str) -> tuple[str, int, int | None]:
    """The document, start and end that an id means; a document's own id is its whole text.

    Raises:
        InputError: there is no such document.
    """
    if name in view:
        return name, 0, None
    if (span := _SPAN.fullmatch(name)) and span[1] in view:
        return span[1], int(span[2]), int(span[3])
    raise _unknown(name)


def read_around(
    view: CodeStore, doc_id: str, start: int, end: int | None, context_tokens: int
) -> Passage:
    """A range of a document and the sentences around it.

    Args:
        view: one state of an index.
        doc_id: the document.
        start: first character.
        end: one past the last character; ``None`` is the end of the document.
        context_tokens: on each side of a range that has an end; with any, the text begins and
            ends with whole sentences.

    Raises:
        InputError: there is no such document, or no such range in it.
        IndexStorageError: the text was damaged.
    """
    if doc_id not in view:
        raise _unknown(doc_id)
    length = view.n_characters(doc_id)
    shown = asked = SpanRef(doc_id, start, length if end is None else min(end, length))
    if asked.start >= asked.end:
        raise InputError(
            f"there is nothing from {start} to {'the end' if end is None else end}: the document "
            f"has {length} characters, and `start` must be less than `end` and than that"
        )
    if end is not None and context_tokens:
        shown = _with_context(view, asked, context_tokens)
    if shown.end > shown.start + _MOST_CHARACTERS:
        shown = _cut(view, shown)
    return Passage(
        id=shown.id,
        doc_id=doc_id,
        start=shown.start,
        end=shown.end,
        text=view.text(shown),
        length=length,
        next_start=shown.end if shown.end < asked.end else None,
        metadata=briefly(view.metadata(doc_id)),
    )


def _with_context(view: CodeStore, ref: SpanRef, n_tokens: int) -> SpanRef:
    """A range with tokens on both sides, up to the bounds of sentences."""
    first, last = (view.count_tokens(SpanRef(ref.doc_id, 0, at)) for at in (ref.start, ref.end))
    whole = view.whole_document(ref.doc_id)
    wanted = TokenRange(ref.doc_id, max(first - n_tokens, 0), min(last + n_tokens, whole.last))
    (around,) = view.characters([wanted])
    start, end = min(around.start, ref.start), max(around.end, ref.end)
    if sentences := view.bounds(ref.doc_id).sentences_over(start, end):
        start, end = min(start, sentences[0][0]), max(end, sentences[-1][1])
    return SpanRef(
        ref.doc_id, max(start, ref.start - _MOST_CONTEXT), min(end, ref.end + _MOST_CONTEXT)
    )


def _cut(view: CodeStore, ref: SpanRef) -> SpanRef:
    """The beginning of a range that is too long, up to the last sentence that ends in it."""
    most = ref.start + _MOST_CHARACTERS
    ends = [end for _, end in view.bounds(ref.doc_id).sentences_over(ref.start, most)]
    return SpanRef(ref.doc_id, ref.start, max((e for e in ends if e <= most), default=most))


def _unknown(name: str) -> InputError:
    return InputError(
        f"there is no document {quoted(name)} in the index; `search` and `list` give the ids "
        "there are"
    )
