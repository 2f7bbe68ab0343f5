"""What is shown is what is there: no lost characters, no steering of the terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from s3_retriever.cli import display
from s3_retriever.types import Answer, Span, TokenScore


def span_of(text: str, tokens: list[tuple[int, int, float]], start: int = 0) -> Span:
    """A span of ``text``; tokens are given in characters of the span."""
    return Span(
        "doc",
        start,
        start + len(text),
        text,
        score=1.0,
        scores={"features": 2.5},
        rank=0,
        tokens=tuple(TokenScore(start + a, start + b, s) for a, b, s in tokens),
    )


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output of 30 columns."""
    out = io.StringIO()
    monkeypatch.setattr(display, "console", Console(file=out, width=30))
    return out


class TestVisible:
    @given(st.text())
    def test_offsets_stay_and_nothing_steers(self, text: str) -> None:
        shown = display.visible(text)
        assert len(shown) == len(text)
        assert all(c == "\n" or unicodedata.category(c) != "Cc" for c in shown)

    def test_an_escape_sequence(self) -> None:
        assert "\x1b" not in display.visible("\x1b[2Jgone\r\n")


class TestBestWords:
    def test_whole_words_around_the_best_tokens(self) -> None:
        text = "The lighthouse was finished."
        tokens = [(0, 3, 0.1), (3, 9, 0.9), (9, 14, 0.2), (14, 18, 0.3), (18, 27, 0.4), (27, 28, 5)]
        (first,) = display.best_words(span_of(text, tokens[:-1]))
        assert text[slice(*first)] == "lighthouse"

    def test_neighbours_are_one_mark(self) -> None:
        text = "whale oil lamp and so on, word by word by word"
        tokens = [(0, 5, 3.0), (5, 9, 2.0), *((i, i + 1, 0.1) for i in range(9, 16))]
        assert display.best_words(span_of(text, tokens, start=100)) == [(0, 9)]

    def test_neither_punctuation_nor_a_score_of_nothing(self) -> None:
        assert display.best_words(span_of("a. b", [(0, 1, 0.0), (1, 2, 9.0)])) == []

    def test_a_token_before_the_span_marks_nothing(self) -> None:
        assert display.best_words(span_of("00", [(-2, -1, 1.0)], start=10)) == []

    def test_no_token_scores(self) -> None:
        assert display.best_words(span_of("text", [])) == []

    @given(
        st.text(min_size=1).flatmap(
            lambda t: st.tuples(
                st.just(t),
                st.lists(
                    st.tuples(
                        st.integers(-3, len(t) + 3), st.integers(-3, len(t) + 3), st.floats(-1, 1)
                    )
                ),
            )
        )
    )
    def test_ranges_are_apart_and_inside(
        self, given: tuple[str, list[tuple[int, int, float]]]
    ) -> None:
        text, tokens = given
        ranges = display.best_words(span_of(text, [t for t in tokens if t[0] < t[1]], start=10))
        at = 0
        for start, end in ranges:
            assert at <= start < end <= len(text)
            at = end


class TestPanels:
    def test_the_whole_text_the_id_and_every_score(self, printed: io.StringIO) -> None:
        span = span_of("Brackets [red]stay[/red]\r\nand lines.", [(0, 8, 1.0)], start=7)
        display.console.print(display.span_panels([span]))
        shown = printed.getvalue()
        assert "doc:7-" in shown
        assert "score 1.0000" in shown
        assert "«Brackets» [red]stay[/red]" in shown

    def test_none(self, printed: io.StringIO) -> None:
        display.console.print(display.span_panels([]))
        assert printed.getvalue() == "nothing was found\n"


class TestAnswers:
    @given(pieces=st.lists(st.text(st.characters(codec="ascii", categories=["L", "Zs"]))))
    def test_wrapping_breaks_lines_at_words_and_loses_nothing(self, pieces: list[str]) -> None:
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(display, "console", Console(file=out, width=30))
            display.stream_answer(pieces)
        assert out.getvalue().replace("\n", "") == "".join(pieces)
        words = "".join(pieces).split()
        assert out.getvalue().split() == words
        if all(len(w) < 30 for w in words):
            assert all(len(line.rstrip()) <= 30 for line in out.getvalue().splitlines())

    def test_sources_keep_their_numbers(self, printed: io.StringIO) -> None:
        spans = (span_of("First one.", []), span_of("Second one.", [], start=20))
        display.print_sources(Answer("It is [2].", spans, spans[1:]))
        shown = printed.getvalue()
        assert "[2] doc:20-31" in shown
        assert "Second one." in shown
        assert "[1]" not in shown

    def test_no_sources(self, printed: io.StringIO) -> None:
        display.print_sources(Answer("No.", (), ()))
        assert "none" in printed.getvalue()
