"""Headings of paragraphs, and the leg that follows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.headings import Headings, heading_line
from s3_retriever.retrieval.legs.bm25 import BM25
from s3_retriever.retrieval.legs.headings import Headings as HeadingsLeg
from s3_retriever.testing.legs import make_context, make_view
from s3_retriever.types import Document


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("Ed Wood (film)", "Ed Wood (film)"),
        ("## 2.1 Installation ##", "2.1 Installation"),
        ("== History ==", "History"),
        ("It rained all day.", ""),
        ("Who kept it?", ""),
        ("Ingredients:", ""),
        ("----", ""),
        ("1984", ""),
        ("", ""),
        ("word " * 30, ""),
    ],
)
def test_a_line_as_a_heading(line: str, heading: str) -> None:
    assert heading_line(line) == heading


def headings_of(text: str, **metadata: str) -> list[str]:
    view = make_view([Document("d", text, metadata)])
    found = Headings(view)
    return [found.of("d", n) for n in range(len(view.bounds("d").paragraphs))]


def test_the_first_line_of_a_paragraph_that_goes_on() -> None:
    assert headings_of("Paris\nIt is a city.\n\nIt is old.\n\nRome\r\nIt is older.") == [
        "Paris",
        "",  # "Paris" is the heading of one paragraph
        "Rome",
    ]


def test_a_heading_alone_stands_for_what_comes_below() -> None:
    text = "# Guide\n\n## Setup\n\nInstall it.\n\nRun it.\n\n## Use\n\nAsk it."
    assert headings_of(text) == ["", "Guide", "Setup", "Setup", "Setup", "Use"]


def test_a_title_where_nothing_else_is() -> None:
    assert headings_of("It rained.\n\nIt poured.", title="Weather") == ["Weather", "Weather"]
    assert headings_of("It rained.", title="w" * 200) == [""]
    assert headings_of("It rained.") == [""]


TEXTS = {
    "film": "Ed Wood (film)\nEd Wood is a film directed by Tim Burton in black and white.",
    "director": "Tim Burton\nHe was born in Burbank as the son of Jean and Bill.",
    "family": "A shop\nJean kept a shop. Her son worked with Tim Burton there.",
    "other": "Paris\nIt is a city on a river, far away.",
}
QUESTION = "Where was the director of Ed Wood born?"


def proposed(
    texts: Mapping[str, str], question: str, evidence: Sequence[str]
) -> tuple[LegContext, dict[str, float]]:
    """The best score by document, after the leg ``bm25`` found only spans in ``evidence``."""
    context = make_context(texts, question, weights={"bm25": 1.0, "headings": 1.0})
    found = [span for span in BM25().propose(context) if span.ref.doc_id in evidence]
    context.add("bm25", found)
    scores: dict[str, float] = {}
    for span in HeadingsLeg().propose(context):
        scores[span.ref.doc_id] = max(span.score, scores.get(span.ref.doc_id, 0.0))
    return context, scores


def test_paragraphs_are_followed_by_name() -> None:
    _, scores = proposed(TEXTS, QUESTION, ["film"])
    assert scores == {"film": 0.5, "director": 1.0}  # named by the question, by the evidence


def test_who_names_the_evidence_counts_half() -> None:
    _, scores = proposed(TEXTS, "Where was Tim Burton born?", ["director"])
    assert scores == {
        "director": 0.5,
        "film": 0.5,
        "family": 0.5,
    }


def test_common_words_are_no_link() -> None:
    texts = {f"t{n}": f"It\nIt is number {n}, it says." for n in range(6)}
    _, scores = proposed(texts, "What is it, number 3?", ["t3"])
    assert scores == {}


def test_sentences_are_found_by_the_words_of_their_heading() -> None:
    texts = {
        "a": "Guide\nFirst it is unpacked. Then it is installed on the wall.",
        "b": "Warranty\nFirst it is unpacked. Then it is installed on the wall.",
    }
    context = make_context(texts, "warranty installed", weights={"bm25": 1.0})
    best = BM25().propose(context)[0]
    assert context.store.text(best.ref).endswith("wall.")
    assert best.ref.doc_id == "b"
