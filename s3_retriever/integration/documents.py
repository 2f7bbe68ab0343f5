"""Work with documents that components of any framework do alike; nothing here knows a framework."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from s3_retriever.arguments import IDS, checked
from s3_retriever.integration.source import Call, Work
from s3_retriever.progress import reading_bar
from s3_retriever.types import AddReport, Document, Span
from s3_retriever.validation import problem_of

__all__ = ["AddedIds", "add_with_bar", "deleted", "select_spans"]

_SPAN_ID = re.compile(r"(.+):(\d{1,12})-(\d{1,12})", re.DOTALL)


class AddedIds(list[str]):
    """Ids of documents that are in the index now, and what became of the others.

    Frameworks want a list of ids back from adding; this is one that can also tell.

    Example:
        >>> ids = AddedIds(["cats"], {"blank": "its text is empty or only white space"})
        >>> ids == ["cats"], list(ids.skipped)
        (True, ['blank'])
    """

    def __init__(
        self,
        ids: Iterable[str],
        skipped: Mapping[str, str],
        given: Iterable[str | None] = (),
    ) -> None:
        """Hold all three.

        Args:
            ids: in the order given.
            skipped: reason by id of each document that was left out.
            given: the id of each document that was given; ``None`` for one that was left out.
        """
        super().__init__(ids)
        self.skipped = skipped
        self.given = tuple(given)


def add_with_bar(
    documents: Sequence[Document],
    *,
    show_progress: bool,
    on_error: Literal["skip", "raise"] = "skip",
) -> Work[AddedIds]:
    """Read documents and put them into the index.

    Args:
        documents: may be none.
        show_progress: draw a bar.
        on_error: as of :meth:`Engine.add`.

    Returns:
        Ids of those in the index now, in the order given; it also knows those left out.

    Raises:
        InputError: documents were given, all of them are unusable, and not all are blank.
        IndexStorageError: the index's folder cannot be written.
    """
    if not documents:
        return AddedIds([], {})
    usable = [document.text for document in documents if problem_of(document) is None]
    with reading_bar(usable, show=show_progress) as on_progress:
        progress = {"on_progress": on_progress} if show_progress else {}
        report: AddReport = yield Call("add", (documents,), {"on_error": on_error, **progress})
    indexed = {*report.added, *report.updated, *report.unchanged}
    there = [d.id for d in documents if d.id in indexed]
    return AddedIds(there, report.skipped, report.ids)


@checked(ids=IDS)
def deleted(ids: str | Iterable[str]) -> Work[list[str]]:
    """Delete documents by their ids, or by those of spans that were cut from them.

    Args:
        ids: of documents as they are kept, or of what a search gave back (``docid:start-end``).

    Returns:
        Those of ``ids`` that named something.

    Raises:
        InputError: they are no ids.
        IndexStorageError: the index's folder cannot be written.
    """
    names = list(ids)
    whole: set[str] = (yield Call("existing", (names,))) if names else set()
    cut = {i: m for i in names if i not in whole and (m := _SPAN_ID.fullmatch(i))}
    of_spans: list[Document] = []
    if cut:
        of_spans = yield Call("get_many", ([m[1] for m in cut.values()],))
    lengths = {document.id: len(document.text) for document in of_spans}
    kept = {i: i for i in names if i in whole} | {
        i: m[1] for i, m in cut.items() if int(m[2]) < int(m[3]) <= lengths.get(m[1], 0)
    }
    there = {i: kept[i] for i in names if i in kept}
    if there:
        yield Call("delete", (list(dict.fromkeys(there.values())),))
    return list(there)


def select_spans(
    question: str, documents: Sequence[Document], **arguments: Any
) -> Work[list[Span]]:
    """The spans of another store's documents that a question needs, with their metadata.

    Args:
        question: plain text.
        documents: read for this question and forgotten; those that cannot be used are left out.
            They may share ids, and their metadata may hold what no index could keep.
        **arguments: of :meth:`Engine.select`.

    Raises:
        InputError: the question is empty.
    """
    if all(problem_of(replace(document, id="-", metadata={})) for document in documents):
        return []
    found: Sequence[Span] = yield Call("select", (question, documents), arguments)
    return list(found)
