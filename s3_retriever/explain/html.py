"""Spans, results and explanations as HTML: no scripts, and every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from s3_retriever.types import Span, TokenScore

if TYPE_CHECKING:
    from s3_retriever.explain.why import Explanation

__all__ = ["explanation_html", "page_html", "result_html", "span_html"]

_STYLE = """<style>
.s3r { font: 14px/1.6 sans-serif; max-width: 60em; color: #222; }
body.s3r { margin: 2em auto; padding: 0 1em; }
.s3r .at { font: 12px monospace; color: #666; }
.s3r .text { white-space: pre-wrap; margin: 0.2em 0 1em; }
.s3r mark { background: #ffe08a; color: inherit; padding: 0 0.1em; }
.s3r mark.cited { background: #9be3a4; }
.s3r mark:target { outline: 2px solid #222; }
.s3r table { border-collapse: collapse; font: inherit; }
.s3r td, .s3r th { text-align: left; padding: 0.2em 0.8em 0.2em 0; vertical-align: top; }
</style>"""


def span_html(span: Span) -> str:
    """A span with its id and scores; its tokens as a heatmap where they are scored.

    Example:
        >>> span = Span("a<b", 0, 4, "x<y!", 1.0, {"bm25": 2.0}, 0)
        >>> "a&lt;b:0-4" in span_html(span), "x&lt;y!" in span_html(span)
        (True, True)
    """
    legs = ", ".join(f"{escape(leg)} {score:.3g}" for leg, score in span.scores.items())
    head = f"{escape(span.id)} &middot; score {span.score:.3g}" + (f" ({legs})" if legs else "")
    return (
        f'{_STYLE}<div class="s3r">{_item(head, _heat(span.text, span.start, span.tokens))}</div>'
    )


def result_html(question: str, spans: Sequence[Span]) -> str:
    """All spans of a result under their question; one scale of colour for all."""
    most = max((token.score for span in spans for token in span.tokens), default=0.0)
    items = "".join(
        _item(
            f"[{span.rank + 1}] {escape(span.id)} &middot; score {span.score:.3g}",
            _heat(span.text, span.start, span.tokens, most),
        )
        for span in spans
    )
    nothing = "<p>Nothing was found.</p>"
    return f'{_STYLE}<div class="s3r"><b>{escape(question)}</b>{items or nothing}</div>'


def explanation_html(explanation: Explanation) -> str:
    """Heatmap, heads and features of an explanation."""
    heat = _heat(explanation.span.text, explanation.span.start, explanation.tokens)
    heads = ", ".join(
        f"{name}: {value:.2f}"
        for name, value in sorted(explanation.heads.items(), key=lambda item: -item[1])
    )
    rows = "".join(
        f"<tr><td>{feature.layer}/{feature.latent}</td><td>{feature.contribution:.3g}</td>"
        f"<td>{escape(', '.join(feature.tokens))}</td><td>"
        + "<br>".join(
            f'<span class="at">{escape(e.doc_id)}:{e.start}-{e.end}</span> {escape(e.text)}'
            for e in feature.examples
        )
        + "</td></tr>"
        for feature in explanation.features
    )
    return (
        f'{_STYLE}<div class="s3r"><b>{escape(explanation.question)}</b>'
        f"{_item(escape(explanation.span.id), heat)}"
        f"<p>Heads (1 is the document's average): {escape(heads)}</p>"
        "<table><tr><th>feature</th><th>adds</th><th>fires on</th><th>and elsewhere</th></tr>"
        f"{rows}</table></div>"
    )


def page_html(
    question: str,
    answer: str | None,
    documents: Mapping[str, str],
    spans: Sequence[Span],
    cited: Sequence[Span],
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
    links = " ".join(
        f'<a href="#{escape(s.id, quote=True)}">[{s.rank + 1}] {escape(s.id)}</a>'
        for s in (cited or spans)
    )
    said = f"<p>{escape(answer)}</p>" if answer is not None else ""
    sources = ""
    for doc_id, text in documents.items():
        marked = _marked(text, [s for s in spans if s.doc_id == doc_id], cited_ids)
        sources += f'<h2>{escape(doc_id)}</h2><div class="text">{marked}</div>'
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<title>{escape(question)}</title>{_STYLE}</head>"
        f'<body class="s3r"><h1>{escape(question)}</h1>{said}<p>{links}</p>{sources}</body></html>'
    )


def _item(head: str, text: str) -> str:
    return f'<div class="at">{head}</div><div class="text">{text}</div>'


def _heat(text: str, start: int, tokens: Sequence[TokenScore], most: float | None = None) -> str:
    """``text`` with its tokens coloured by score; ``most``, by default the highest, is darkest."""
    if most is None:
        most = max((token.score for token in tokens), default=0.0)
    parts, at = [], 0
    for token in tokens:
        low, high = max(token.start - start, at), min(token.end - start, len(text))
        low += len(text[low:high]) - len(text[low:high].lstrip())  # words, not the space before
        if high <= low:
            continue
        strength = max(0.0, token.score / most) if most > 0 else 0.0
        parts.append(escape(text[at:low]))
        parts.append(
            f'<span style="background:rgba(255,140,0,{strength:.2f})" '
            f'title="{token.start}-{token.end}: {token.score:.3g}">{escape(text[low:high])}</span>'
        )
        at = high
    return "".join(parts) + escape(text[at:])


def _marked(text: str, spans: Sequence[Span], cited: set[str]) -> str:
    """``text`` with its spans marked; each mark's id is the span's."""
    parts, at = [], 0
    for span in sorted(spans, key=lambda s: s.start):
        parts.append(escape(text[at : span.start]))
        kind = ' class="cited"' if span.id in cited else ""
        marked = escape(text[span.start : span.end])
        parts.append(f'<mark id="{escape(span.id, quote=True)}"{kind}>{marked}</mark>')
        at = span.end
    return "".join(parts) + escape(text[at:])
