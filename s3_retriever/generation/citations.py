"""Which spans an answer rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from s3_retriever.search.folding import folded
from s3_retriever.types import Span

__all__ = ["find_citations"]

_WORD = regex.compile(r"[\w\p{M}]+")


def find_citations(answer: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans that an answer rests on.

    Those whose number it quotes; a small model often quotes none, then those that share most of
    the answer's longer words and numbers.

    Example:
        >>> spans = [Span("a", 0, 9, "Red roses", 1, {}, 0), Span("b", 0, 9, "Blue sky.", 1, {}, 1)]
        >>> [s.doc_id for s in find_citations("The sky is blue.", spans)]
        ['b']
    """
    quoted = {int(n) for n in re.findall(r"\[(\d+)\]", answer)}
    named = tuple(span for n, span in enumerate(spans, start=1) if n in quoted)
    if named:
        return named
    words = _content_words(answer)
    shared = [len(words & _content_words(span.text)) for span in spans]
    most = max(shared, default=0)
    if not most:
        return ()
    return tuple(span for span, n in zip(spans, shared, strict=True) if n == most)


def _content_words(text: str) -> set[str]:
    return {w for w in _WORD.findall(folded(text)) if len(w) > 3 or w.isdigit()}
