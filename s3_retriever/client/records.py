"""What a server says, as the records that an engine gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from s3_retriever.errors import ServerError
from s3_retriever.html import result_html
from s3_retriever.server.schemas.documents import AddReportBody
from s3_retriever.server.schemas.search import SearchResponse
from s3_retriever.types import AddReport, Span

__all__ = ["FoundSpans", "joined_reports", "parsed"]

B = TypeVar("B", bound=BaseModel)


class FoundSpans(list[Span]):
    """Spans of one question, best first: a list in every respect, which notebooks show.

    Example:
        >>> FoundSpans([], "Why?", highest_score=5.0).question
        'Why?'
    """

    def __init__(
        self,
        spans: Iterable[Span],
        question: str,
        *,
        highest_score: float,
        milliseconds: float | None = None,
    ) -> None:
        """Hold them.

        Args:
            spans: best first.
            question: plain text.
            highest_score: of a span that every leg of the mode finds best.
            milliseconds: that the server took, waiting included.
        """
        super().__init__(spans)
        self.question = question
        self.highest_score = highest_score
        self.milliseconds = milliseconds

    @classmethod
    def of(cls, found: SearchResponse, question: str) -> FoundSpans:
        """What a server found."""
        return cls(
            [span.span() for span in found.spans],
            question,
            highest_score=found.highest_score,
            milliseconds=found.milliseconds,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _found, (list(self), self.question, self.highest_score, self.milliseconds)

    def _repr_html_(self) -> str:
        return result_html(self.question, self)


def _found(
    spans: list[Span], question: str, highest_score: float, milliseconds: float | None
) -> FoundSpans:
    return FoundSpans(spans, question, highest_score=highest_score, milliseconds=milliseconds)


def parsed(kind: type[B], response: httpx.Response) -> B:
    """A response's body.

    Raises:
        ServerError: it is something else.
    """
    try:
        return kind.model_validate_json(response.content)
    except ValidationError:
        message = f"the server at {response.url.host} sent no {kind.__name__}: is it another one?"
        raise ServerError(message, status=response.status_code) from None


def joined_reports(
    parts: Iterable[AddReportBody], skipped: dict[str, str], ids: tuple[str | None, ...]
) -> AddReport:
    """What became of documents that were sent in parts.

    Args:
        parts: reports of the server.
        skipped: reason by id of each that was not sent.
        ids: of all that were given, as :class:`~s3_retriever.types.AddReport` has them.
    """
    parts = list(parts)
    refused = {name: reason for part in parts for name, reason in part.skipped.items()}
    return AddReport(
        added=tuple(i for part in parts for i in part.added),
        updated=tuple(i for part in parts for i in part.updated),
        unchanged=tuple(i for part in parts for i in part.unchanged),
        skipped=skipped | refused,
        tokens_scanned=sum(part.tokens_scanned for part in parts),
        ids=tuple(None if i in refused else i for i in ids),
    )
