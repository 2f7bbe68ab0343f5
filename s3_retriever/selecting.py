"""Evidence in documents that are in no index: read for one question, then forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from s3_retriever.arguments import DOCUMENTS, TEXT, checked
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.generation.selection import Selection
from s3_retriever.giving import Givable
from s3_retriever.models.base import LanguageModel
from s3_retriever.retrieval.query import check_question
from s3_retriever.types import Span

__all__ = ["Selector"]


class _Engine(Protocol):
    def add(self, documents: Iterable[Givable], /) -> object: ...

    @property
    def retrieve(self) -> Callable[..., Iterable[Span]]: ...


class Selector:
    """Finds evidence in documents that are in no index."""

    def __init__(self, llm: LanguageModel, aside: Callable[[], _Engine]) -> None:
        """Nothing is read yet.

        Args:
            llm: bounds the question.
            aside: makes an engine around the same model, with an empty index of its own.
        """
        self._llm = llm
        self._aside = aside

    @checked(question=TEXT, documents=DOCUMENTS)
    def select(
        self, /, question: str, documents: Iterable[Givable], **arguments: Any
    ) -> RetrievalResult:
        """The spans of a few documents that a question needs; the index is not touched.

        The documents are read for this question and forgotten. They may be of several stores: two
        of the same id are two, and metadata that no index could keep come back as they were.

        Args:
            question: plain text.
            documents: as of ``Engine.add``.
            **arguments: of ``Engine.retrieve``.

        Raises:
            InputError: as ``Engine.add`` and ``Engine.retrieve``.
        """
        check_question(question, self._llm.window)
        chosen = Selection(documents)
        aside = self._aside()
        aside.add(chosen.numbered)
        found = aside.retrieve(question, **arguments)
        return RetrievalResult(chosen.restored(found), question)
