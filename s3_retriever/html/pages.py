"""From values to the templates beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from s3_retriever.html.shown import ShownExplanation, ShownSpan, ShownToken

__all__ = ["explanation_html", "page_html", "rendered", "result_html", "span_html"]


class _Token(NamedTuple):
    """A piece of text that is coloured by its score."""

    text: str
    strength: float
    """0 is white, 1 the darkest."""
    start: int
    end: int
    score: float


class _Mark(NamedTuple):
    """A piece of text that is a span."""

    text: str
    id: str
    cited: bool


class _Piece(NamedTuple):
    """Plain text and the mark or token behind it."""

    before: str
    marked: Any = None


def span_html(span: ShownSpan) -> str:
    """A span with its id and scores; its tokens as a heatmap where they are scored.

    Example:
        >>> from s3_retriever.types import Span
        >>> span = Span("a<b", 0, 4, "x<y!", 1.0, {"bm25": 2.0}, 0)
        >>> "a&lt;b:0-4" in span_html(span), "x&lt;y!" in span_html(span)
        (True, True)
    """
    return rendered("span.html", span=span, heat=_heat(span.text, span.start, span.tokens))


def result_html(question: str, spans: Sequence[ShownSpan]) -> str:
    """All spans of a result under their question; one scale of colour for all."""
    most = max((token.score for span in spans for token in span.tokens), default=0.0)
    heats = [_heat(span.text, span.start, span.tokens, most) for span in spans]
    return rendered("result.html", question=question, items=list(zip(spans, heats, strict=True)))


def explanation_html(explanation: ShownExplanation) -> str:
    """Heatmap, heads and features of an explanation."""
    span = explanation.span
    return rendered(
        "explanation.html",
        explanation=explanation,
        heat=_heat(span.text, span.start, explanation.tokens),
        heads=sorted(explanation.heads.items(), key=lambda item: -item[1]),
    )


def page_html(
    question: str,
    answer: str | None,
    documents: Mapping[str, str],
    spans: Sequence[ShownSpan],
    cited: Sequence[ShownSpan],
) -> str:
    """A whole page: the answer, links to what it rests on, the sources with spans marked.

    Args:
        question: plain text.
        answer: what the model said, if it was asked.
        documents: texts by id.
        spans: what was found.
        cited: those that the answer rests on.
    """
    cited_ids = {span.id for span in cited}
    sources = [
        (doc_id, _marked(text, [s for s in spans if s.doc_id == doc_id], cited_ids))
        for doc_id, text in documents.items()
    ]
    return rendered(
        "page.html", question=question, answer=answer, links=cited or spans, sources=sources
    )


def _heat(
    text: str, start: int, tokens: Iterable[ShownToken], most: float | None = None
) -> list[_Piece]:
    """``text`` with its tokens coloured by score; ``most``, by default the highest, is darkest."""
    tokens = list(tokens)
    if most is None:
        most = max((token.score for token in tokens), default=0.0)
    pieces, at = [], 0
    for token in tokens:
        low, high = max(token.start - start, at), min(token.end - start, len(text))
        low += len(text[low:high]) - len(text[low:high].lstrip())  # words, not the space before
        if high <= low:
            continue
        strength = max(0.0, token.score / most) if most > 0 else 0.0
        coloured = _Token(text[low:high], strength, token.start, token.end, token.score)
        pieces.append(_Piece(text[at:low], coloured))
        at = high
    return [*pieces, _Piece(text[at:])]


def _marked(text: str, spans: Iterable[ShownSpan], cited: set[str]) -> list[_Piece]:
    """``text`` with its spans marked; each mark's id is the span's."""
    pieces, at = [], 0
    for span in sorted(spans, key=lambda s: s.start):
        mark = _Mark(text[span.start : span.end], span.id, span.id in cited)
        pieces.append(_Piece(text[at : span.start], mark))
        at = span.end
    return [*pieces, _Piece(text[at:])]


def rendered(template: str, **values: Any) -> str:
    """A template beside this file, filled in; every value is escaped."""
    html: str = _templates().get_template(template).render(values)
    return html


@cache
def _templates() -> Any:
    import jinja2  # here, because most programs draw nothing

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["g3"] = lambda number: f"{number:.3g}"
    return environment
