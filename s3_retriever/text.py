"""Bounds in plain text: words, sentences, paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.segmentation.lines import PlainLines, first_line, plain_lines
from s3_retriever.segmentation.units import passages_of, sections_of
from s3_retriever.segmentation.words import (
    LONGEST_FLAGS,
    fitting_end,
    in_flags,
    long_words,
    separate_ideographs,
    trimmed,
    whole_pieces,
    whole_words,
)
from s3_retriever.types import TextBounds

__all__ = [
    "LONGEST_FLAGS",
    "check_text",
    "find_bounds",
    "first_line",
    "fitting_end",
    "in_flags",
    "language_code",
    "language_of",
    "long_words",
    "plain_lines",
    "separate_ideographs",
    "whole_pieces",
    "whole_words",
]


def check_text(text: str) -> None:
    """Refuse what UTF-8 cannot store.

    Raises:
        InputError: names the first lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise InputError(
            f"character {e.start} is a lone surrogate ({quoted(text[e.start])}); "
            "decode the source with errors='replace'"
        ) from e


def language_of(metadata: Mapping[str, Any]) -> str:
    """The language that a document's metadata name (``language`` or ``lang``), else English.

    Example:
        >>> language_of({"language": "de-AT"}), language_of({})
        ('de', 'en')
    """
    return language_code(metadata) or "en"


def language_code(metadata: Mapping[str, Any]) -> str | None:
    """The code that ``language`` or ``lang`` of some metadata begins with, if one does."""
    for field in ("language", "lang"):
        named = metadata.get(field)
        if isinstance(named, str) and (code := re.match("[A-Za-z]{2,3}(?![A-Za-z])", named)):
            return code[0].lower()
    return None


def find_bounds(text: str, language: str = "en") -> TextBounds:
    r"""Where the sentences and paragraphs of a text begin and end.

    Paragraphs stand between empty lines (line ends of any system, white space in the line or not)
    or Unicode paragraph separators. Sentences of prose come from `sentencex` (Wikimedia). What is
    no prose is cut where its own structure ends: records (JSON), turns, rows, log lines, cues of
    subtitles, groups of short lines (code, settings, verse), and at clauses, then words, where
    there is none. No unit is longer than 400 characters, or 600 if it ends as a sentence does,
    but for the rest of a word; a paragraph of more than 2,000 that is no prose is cut between
    units. A sentence never crosses a paragraph and has no white space around it.

    Args:
        text: the whole document.
        language: a code of two or three letters; one that `sentencex` has no rules for is read
            by those of a related language or by general ones.

    Example:
        >>> bounds = find_bounds("One here. Two there.\r\n \r\nThree.")
        >>> bounds.sentences.tolist(), bounds.paragraphs.tolist()
        ([[0, 9], [10, 20], [25, 31]], [[0, 20], [25, 31]])
    """
    plain = plain_lines(text)
    sentences: list[tuple[int, int]] = []
    paragraphs: list[tuple[int, int]] = []
    for section in sections_of(plain.text, language):
        units = (unit.at for unit in section.units)
        sentences += _ranges(plain.text, units, section.end)
        paragraphs += _ranges(plain.text, passages_of(plain.text, section), section.end)
    return TextBounds(_as_array(plain, sentences), _as_array(plain, paragraphs))


def _ranges(text: str, starts: Iterable[int], end: int) -> Iterator[tuple[int, int]]:
    """From each start to the next, without the white space around; none for white space."""
    for start, stop in pairwise([*starts, end]):
        if found := trimmed(text, start, stop):
            yield found


def _as_array(plain: PlainLines, bounds: list[tuple[int, int]]) -> np.ndarray:
    places = np.array(bounds, dtype=np.int64).reshape(-1, 2)
    return plain.original(places).astype(np.uint32)
