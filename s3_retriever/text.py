"""Bounds in plain text: words, sentences, paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.segmentation.units import passages_of, sections_of
from s3_retriever.segmentation.words import separate_ideographs, trimmed, whole_words
from s3_retriever.types import TextBounds

__all__ = ["check_text", "find_bounds", "language_of", "separate_ideographs", "whole_words"]


def check_text(text: str) -> None:
    """Refuse what UTF-8 cannot store.

    Raises:
        InputError: names the first lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise InputError(
            f"character {e.start} is a lone surrogate ({text[e.start]!r}); "
            "decode the source with errors='replace'"
        ) from e


def language_of(metadata: Mapping[str, Any]) -> str:
    """The language that a document's metadata name (``language`` or ``lang``), else English.

    Example:
        >>> language_of({"language": "de-AT"}), language_of({})
        ('de', 'en')
    """
    for field in ("language", "lang"):
        named = metadata.get(field)
        if isinstance(named, str) and (code := re.match("[A-Za-z]{2,3}(?![A-Za-z])", named)):
            return code[0].lower()
    return "en"


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
    sentences: list[tuple[int, int]] = []
    paragraphs: list[tuple[int, int]] = []
    for section in sections_of(text, language):
        units = (unit.at for unit in section.units)
        sentences += _ranges(text, units, section.end)
        paragraphs += _ranges(text, passages_of(text, section), section.end)
    return TextBounds(_as_array(sentences), _as_array(paragraphs))


def _ranges(text: str, starts: Iterable[int], end: int) -> Iterator[tuple[int, int]]:
    """From each start to the next, without the white space around; none for white space."""
    for start, stop in pairwise([*starts, end]):
        if found := trimmed(text, start, stop):
            yield found


def _as_array(bounds: list[tuple[int, int]]) -> np.ndarray:
    return np.array(bounds, dtype=np.uint32).reshape(-1, 2)
