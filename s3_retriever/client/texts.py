"""What a server is asked about texts that are no documents of its index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from s3_retriever.arguments import COUNT, DOCUMENTS, SOME_COUNT, SOME_NAME, TEXT, TEXTS, checked
from s3_retriever.client.records import FoundSpans, parsed
from s3_retriever.client.transport import Ask, Steps
from s3_retriever.errors import InputError
from s3_retriever.generation.selection import Selection
from s3_retriever.giving import Givable
from s3_retriever.server.schemas.search import CompressResponse, SearchResponse
from s3_retriever.server.schemas.texts import MOST_CHARACTERS, MOST_TEXTS, TokenizeResponse
from s3_retriever.settings import Mode, Scoring
from s3_retriever.text import language_code
from s3_retriever.types import CompressedContext, Document
from s3_retriever.validation import usable

__all__ = ["TextsApi"]

_LONGEST_TITLE = 100
"""Characters; a longer one is no heading."""


class TextsApi:
    """The requests that no namespace has a part in, as steps that a transport sends."""

    @checked(question=TEXT, text=TEXT, max_tokens=COUNT, mode=SOME_NAME, scoring=SOME_NAME)
    def compress(
        self,
        question: str,
        text: str,
        max_tokens: int,
        *,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        token_scores: bool = False,
    ) -> Steps[CompressedContext]:
        """Cut one long text down to what ``question`` needs; the index is not touched.

        Arguments are those of :meth:`s3_retriever.Engine.compress`.

        Raises:
            InputError: the question or the text is empty, or ``max_tokens`` is below 1.
            ServerError: the server cannot be reached, or refuses.
        """
        asked = {
            "question": question,
            "text": text,
            "max_tokens": max_tokens,
            "mode": mode,
            "scoring": scoring,
            "token_scores": token_scores,
        }
        response = yield Ask("POST", "/v1/compress", asked)
        found = parsed(CompressResponse, response)
        return CompressedContext(
            found.text, tuple(span.span() for span in found.spans), found.n_tokens
        )

    @checked(
        question=TEXT,
        documents=DOCUMENTS,
        max_tokens=SOME_COUNT,
        k=SOME_COUNT,
        mode=SOME_NAME,
        scoring=SOME_NAME,
    )
    def select(
        self,
        question: str,
        documents: Iterable[Givable],
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        token_scores: bool = False,
    ) -> Steps[FoundSpans]:
        """The spans of a few documents that a question needs; the index is not touched.

        As :meth:`s3_retriever.Engine.select`. Of the documents their texts are sent, with their
        titles and languages; ids and metadata stay here, and spans have them.

        Args:
            question: plain text.
            documents: at most 1,000, of some megabytes together.
            max_tokens: budget of all spans in the model's tokens; ``None`` is no limit.
            k: most spans; ``None`` is no limit.
            mode: as of ``retrieve``.
            scoring: as of ``retrieve``.
            token_scores: as of ``retrieve``.

        Raises:
            InputError: the question is empty, no document can be used, or there are too many.
            ServerError: the server cannot be reached, or refuses.
        """
        chosen = Selection(documents)
        good = list(usable(chosen.numbered, "skip").good.values())
        if not good:
            return FoundSpans([], question, highest_score=0.0)
        asked = {
            "question": question,
            "documents": [_sent(document) for document in good],
            "max_tokens": max_tokens,
            "k": k,
            "mode": mode,
            "scoring": scoring,
            "token_scores": token_scores,
        }
        response = yield Ask("POST", "/v1/select", asked)
        found = parsed(SearchResponse, response)
        spans = (span.span() for span in found.spans)
        numbered = [replace(span, doc_id=good[int(span.doc_id)].id) for span in spans]
        return FoundSpans(
            chosen.restored(numbered),
            question,
            highest_score=found.highest_score,
            milliseconds=found.milliseconds,
        )

    @checked(texts=TEXTS)
    def count_tokens(self, texts: Iterable[str]) -> Steps[list[int]]:
        """How many of the model's tokens each text takes.

        Args:
            texts: any number; one alone is a list of one.

        Raises:
            InputError: one has more than a million characters, or cannot be sent.
            ServerError: the server cannot be reached, or refuses.
        """
        counts: list[int] = []
        for part in _parts(list(texts)):
            response = yield Ask("POST", "/v1/tokenize", {"texts": part})
            counts += parsed(TokenizeResponse, response).counts
        return counts

    @checked(texts=TEXTS)
    def token_ids(self, texts: Iterable[str]) -> Steps[list[list[int]]]:
        """The ids of each text's tokens in the model's vocabulary.

        Args:
            texts: any number; one alone is a list of one.

        Raises:
            InputError: as :meth:`count_tokens`.
            ServerError: as there.
        """
        found: list[list[int]] = []
        for part in _parts(list(texts)):
            response = yield Ask("POST", "/v1/tokenize", {"texts": part, "ids": True})
            found += parsed(TokenizeResponse, response).ids or []
        return found


def _sent(document: Document) -> dict[str, Any]:
    """A document's text, and of its metadata what a reader looks at."""
    title = document.metadata.get("title")
    return {
        "text": document.text,
        "language": language_code(document.metadata),
        "title": title if isinstance(title, str) and len(title) <= _LONGEST_TITLE else None,
    }


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts, so many at a time as a request may hold."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if len(text) > MOST_CHARACTERS:
            raise InputError(f"a text has more than {MOST_CHARACTERS} characters")
        if part and (len(part) == MOST_TEXTS or characters + len(text) > MOST_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part
