"""Every pass over a text is linear in its length, whatever is repeated in it.

Times are of the processor, and only compared with each other: four times the text may cost ten
times as much, not sixteen.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from s3_retriever.generation.citations import find_citations
from s3_retriever.plain import plain_text
from s3_retriever.readers.base import UnreadableError
from s3_retriever.readers.encodings import by_look
from s3_retriever.readers.headings import first_heading
from s3_retriever.readers.registry import reader_for
from s3_retriever.retrieval.headings import heading_line
from s3_retriever.search.analyzers import content_stems, stems
from s3_retriever.search.folding import folded
from s3_retriever.search.languages import document_language
from s3_retriever.segmentation.words import (
    fitting_end,
    inside_cluster,
    long_words,
    separate_ideographs,
    whole_pieces,
    whole_words,
)
from s3_retriever.text import find_bounds
from s3_retriever.types import Span
from s3_retriever.validation import is_blank

SMALL, LARGE = 20_000, 80_000
"""Characters."""
NOTICEABLE = 0.05
"""Seconds of the larger text's pass; less is no matter whatever it grows like."""


def read(suffix: str) -> Callable[[str], object]:
    def reading(text: str) -> None:
        data = text.encode()
        with contextlib.suppress(UnreadableError):
            reader_for(suffix, data).read(data)

    return reading


def blocks(text: str) -> None:
    """As a segment gives them to the search engine: 64 tokens of some four characters."""
    data = long_words(text)
    for start in range(0, len(text), 256):
        whole_pieces(data, *whole_words(text, start, min(start + 256, len(text))))


def cuts(text: str) -> None:
    fitting_end(text, len(text) - 1)  # once: it strips what it keeps, which is linear in itself
    for at in range(0, len(text), 256):
        inside_cluster(text, at)


def cited(text: str) -> None:
    for answer, evidence in ((text, "red roses"), ("red roses [1]", text)):
        find_citations(answer, [Span("a", 0, len(evidence), evidence, 1.0, {}, 0)])


PASSES: dict[str, Callable[[str], object]] = {
    "bounds": find_bounds,
    "bounds of Japanese": lambda text: find_bounds(text, "ja"),
    "markdown": read(".md"),
    "front matter": lambda text: read(".md")("---\n" + text + "\n---\n"),
    "front matter that stays open": lambda text: read(".md")("---\ntitle: " + text),
    "a fence": lambda text: read(".md")("```\n" + text),
    "plain text": read(".txt"),
    "rows": read(".csv"),
    "a cell": lambda text: read(".csv")('name,"' + text),
    "a mail": lambda text: read(".eml")("Subject: a\n\n" + text),
    "a mail's headers": lambda text: read(".eml")("Subject: a\n" + text),
    "html": read(".html"),
    "an html table": lambda text: read(".html")("<table><tr><td>" + text),
    "a head": lambda text: read(".html")('<head><meta charset="' + text),
    "preformatted": lambda text: read(".html")("<pre>" + text),
    "latin 1": lambda text: by_look(text.encode("latin-1", "replace") + b"\xe9"),
    "a heading": first_heading,
    "a heading's line": heading_line,
    "folding": folded,
    "stems": lambda text: stems(text, "en"),
    "stems of Arabic": lambda text: stems(text, "ar"),
    "a question's stems": lambda text: content_stems(text, ["de", "en", "th"]),
    "its language": lambda text: document_language({}, text),
    "ideographs": separate_ideographs,
    "blocks": blocks,
    "cuts": cuts,
    "citations": cited,
    "blank": is_blank,
    "plain": plain_text,
}

UNITS = {
    "spaces": " ",
    "line feeds": "\n",
    "line ends": "\r\n",
    "carriage returns": "\r",
    "tabs": "\t",
    "no-break spaces": "\xa0",
    "separators": "\u2028",
    "indents": "    \n",
    "a letter": "a",
    "capitals": "A",
    "words": "word ",
    "lines": "a line\n",
    "digits": "7",
    "numbers": "1,234.5",
    "dots": ".",
    "dots and spaces": ". ",
    "ellipses": "...\n",
    "initials": "A. B. ",
    "questions": "?!",
    "brackets": "<",
    "closing": ">",
    "ampersands": "&",
    "entities": "&#",
    "hash signs": "#",
    "headings": "# ",
    "heading lines": "# a #\n",
    "underlines": "a\n===\n",
    "rules": "---\n",
    "dashes": "-",
    "items": "- a\n",
    "nested items": "  - ",
    "numbered": "1. a\n",
    "bars": "|",
    "rows": "| a | b |\n",
    "commas": "a,b,c\n",
    "fences": "```",
    "fence lines": "```\n",
    "tildes": "~~~\n",
    "quotes": '"',
    "apostrophes": "'",
    "typographic quotes": "“a”",
    "parentheses": "(",
    "both parentheses": "()",
    "square brackets": "[",
    "citations": "[1]",
    "links": "[](",
    "braces": "{",
    "records": '{"a": 1}\n',
    "nested records": '{"a":[',
    "escapes": '\\"',
    "backslashes": "\\",
    "escaped lines": "\\n",
    "escaped records": '{\\"a\\": \\"b\\"}, ',
    "times": "00:00:01,000 --> 00:00:02,000\n",
    "arrows": "-->",
    "log lines": "2024-01-02T03:04:05Z a: b\n",
    "turns": "A: b\n",
    "colons": ":",
    "settings": "a: b\n",
    "comments": "<!--",
    "tags": "<a>",
    "attributes": '<a b="c" ',
    "sections": "<![CDATA[",
    "styles": "<style>",
    "scripts": "<script>",
    "tables": "<table><td>",
    "line breaks": "<br>",
    "joined emoji": "👨‍👩‍👧",
    "joiners": "\u200d",
    "flags": "🇩🇪",
    "half flags": "🇩",
    "skin tones": "👍🏽",
    "keycaps": "1️⃣",
    "marks": "\u0301",
    "decomposed": "e\u0301",
    "conjuncts": "क्ष",
    "viramas": "क्",
    "jamo": "\u1112\u1161\u11ab",
    "leading jamo": "\u1112",
    "Thai": "กำ",
    "Arabic": "كتاب ",
    "tatweel": "ـ",
    "points": "שָׁ",
    "ideographs": "漢",
    "kana": "ｶﾞ",
    "full stops": "。",
    "ligatures": "ﷺ",
    "soft hyphens": "a\u00ad",
    "no width": "\u200b",
    "tag sequences": "🏴\U000e0067\U000e007f",
    "variation selectors": "\ufe0f",
    "underscores": "_",
    "slashes": "/",
    "url": "https://a.b/c?d=e&",
    "at signs": "a@",
    "percent": "%41",
    "zero and one": "\x01",
}

EVERY_DAY = ("bounds", "markdown", "html", "stems", "blocks", "cuts")
"""Passes of the default run, each with a few units that are the next ones' of the last."""


def seconds(work: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        work(text)
        best = min(best, time.process_time() - began)
        if best < NOTICEABLE / 4:
            break
    return best


def growth(work: Callable[[str], object], unit: str) -> float:
    """How many times as long the larger text takes; 0 where that is no matter."""
    text = unit * (LARGE // len(unit) + 1)
    large = seconds(work, text[:LARGE])
    if large < NOTICEABLE:
        return 0.0
    return large / max(seconds(work, text[:SMALL]), 1e-4)


def of(number: int) -> list[str]:
    """A fifth of the units."""
    return list(UNITS)[number::5]


@pytest.mark.parametrize("work", EVERY_DAY)
def test_four_times_the_text_is_no_ten_times_the_work(work: str) -> None:
    for name in of(EVERY_DAY.index(work) % 5):
        # on a busy machine one measurement may be off; work that grows too fast is so each time
        assert any(growth(PASSES[work], UNITS[name]) <= 10 for _ in range(3)), name


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("work", PASSES)
def test_every_pass_with_every_unit(work: str, unit: str) -> None:
    assert any(growth(PASSES[work], UNITS[unit]) <= 10 for _ in range(3))
