"""Whatever a document, a question or a name says, it stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.explain.why import Example, Explanation, Feature
from s3_retriever.html import explanation_html, page_html, result_html, span_html
from s3_retriever.types import Span, TokenScore

HOSTILE = "<script>alert(1)</script>\"'>{{ 7 * 7 }}{% raw %}&amp;"


class Shown(HTMLParser):
    """Tags and attributes of a page, and the text of elements whose white space is kept."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self._depth = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if ("class", "text") in attrs:
            self.texts.append("")
            self._depth = 1
        elif self._depth:
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - 1)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.texts[-1] += data


def hostile_span(tokens: tuple[TokenScore, ...] = ()) -> Span:
    end = len(HOSTILE)
    return Span(HOSTILE, 0, end, HOSTILE, 1.0, {HOSTILE: 2.0}, 0, {HOSTILE: HOSTILE}, tokens)


def test_nothing_hostile_becomes_a_tag_or_an_attribute() -> None:
    tokens = (TokenScore(0, 8, 1.0), TokenScore(8, 20, 0.5))
    span = hostile_span(tokens)
    feature = Feature(1, 2, 0.5, (HOSTILE,), (Example(HOSTILE, 0, 1, HOSTILE),) * 2)
    explanation = Explanation(HOSTILE, span, tokens, {HOSTILE: 1.0}, (feature,), {HOSTILE: 1.0})
    for page in (
        span_html(span),
        result_html(HOSTILE, [span, hostile_span()]),
        explanation_html(explanation),
        page_html(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, [span], [span]),
    ):
        shown = Shown(page)
        assert "script" not in shown.tags
        assert shown.attributes <= {"class", "id", "href", "style", "title", "charset"}
        assert shown.texts
        assert set(shown.texts) == {HOSTILE}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")), st.data())
def test_texts_come_back_whole(text: str, data: st.DataObject) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    tokens = tuple(TokenScore(a, b, data.draw(st.floats(-1, 1))) for a, b in pairwise(at))
    span = Span("d", 0, len(text), text, 1.0, {}, 0, {}, tokens)
    assert Shown(span_html(span)).texts == [text]
    low, high = (at[0], at[-1]) if at else (0, len(text))
    inner = Span("d", low, high, text[low:high], 1.0, {}, 0)
    assert Shown(page_html("?", None, {"d": text}, [inner], [])).texts == [text]
