"""What components of any framework ask of an engine, be it in this process or a server's.

A component writes down its work once, as a generator of :class:`Call`; a source does it for who
waits (``run``) and for who awaits (``arun``).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from s3_retriever.types import Document, Span

__all__ = ["Call", "Likeness", "Method", "Source", "Work"]

R = TypeVar("R")

Method = Literal[
    "retrieve",
    "select",
    "like",
    "add",
    "delete",
    "delete_where",
    "count",
    "existing",
    "get_many",
    "ids",
    "metadata",
    "similarities",
    "batched",
    "count_tokens",
]
"""What a source can do.

``retrieve(question, **arguments)``: spans, as :meth:`s3_retriever.Engine.retrieve`;
``select(question, documents, **arguments)``: spans of documents of another store, as
:meth:`s3_retriever.Engine.select`;
``batched(questions)``: further arguments of ``retrieve`` for each of them;
``like(text, k=, filter=, mode=, scoring=, settings=)``: a :class:`Likeness`;
``add(documents, on_error=, on_progress=)``, ``delete(ids)``, ``get_many(ids)``,
``ids(filter, limit)``, ``similarities(refs)``: as an engine's;
``delete_where(filter)``: as an engine's; ``count(filter)``: how many documents pass it;
``existing(ids)``: the set of those that are there;
``metadata()``: id and metadata of each document;
``count_tokens(texts)``: how many of the model's tokens each takes.
"""


@dataclass(frozen=True)
class Call:
    """One call of a source's method."""

    method: Method
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


Work = Generator[Call, Any, R]
"""Calls, one after the other, and what comes of them."""


@dataclass(frozen=True)
class Likeness:
    """What is found for any text, not only for a question."""

    spans: Sequence[Span]
    """Best first."""
    highest_score: float
    """Of a span that every leg of the mode finds best."""
    same: Sequence[Document]
    """Documents whose text is the text itself."""


class Source(Protocol):
    """An engine, wherever it is."""

    @property
    def name(self) -> str:
        """Of its model."""

    def run(self, work: Work[R]) -> R:
        """Do some work, and wait.

        Raises:
            EndogenousError: as the methods that it calls.
        """

    async def arun(self, work: Work[R]) -> R:
        """As :meth:`run`; the event loop stays free."""

    def check_mode(self, mode: str | None) -> None:
        """Refuse a mode that is known not to be there.

        Raises:
            InputError: there is no such mode.
        """
