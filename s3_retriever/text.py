"""Bounds in plain text: words, sentences, paragraphs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sentencex

from s3_retriever.errors import InputError
from s3_retriever.types import TextBounds

__all__ = ["check_text", "find_bounds", "language_of", "separate_ideographs", "whole_words"]

_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_MAX_SENTENCE = 600
"""Characters; what claims to be a longer sentence is a table, a log or code: it is cut at words."""
_PIECE = 1 << 14
"""Characters of one paragraph that are looked at together, so that a book without empty lines
takes time in proportion to its length."""

_LINE_END = "(?:\r\n|\r(?!\n)|[\n\x0b\x0c\x1c-\x1e\x85\u2028])"
_BLANK = "[^\\S\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]*"
_PARAGRAPH_END = re.compile(f"\u2029|{_LINE_END}(?:{_BLANK}{_LINE_END})+")
"""A paragraph separator, or line ends (of any system) with only white space between."""


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


def separate_ideographs(text: str) -> str:
    """Put spaces around Chinese and Japanese characters, so that each counts as a word."""
    return _IDEOGRAPH.sub(r" \1 ", text)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen ``text[start:end]`` so that it cuts no word.

    A run of more than 64 letters and digits is data; it is cut where the range ended. Each
    ideograph is a word.

    Example:
        >>> whole_words("the cat sat", 5, 9)
        (4, 11)
    """
    limit = max(0, start - 64)
    first = start
    while first > limit and _inside_word(text, first):
        first -= 1
    limit = min(len(text), end + 64)
    last = end
    while last < limit and _inside_word(text, last):
        last += 1
    return (
        start if _inside_word(text, first) else first,
        end if _inside_word(text, last) else last,
    )


def _inside_word(text: str, at: int) -> bool:
    """Whether a cut before character ``at`` would split a word (or a character's marks)."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if _joins(after) or before == "\u200d":
        return True
    if not (before.isalnum() and after.isalnum()):
        return False
    return not (_IDEOGRAPH.match(before) or _IDEOGRAPH.match(after))


def _joins(character: str) -> bool:
    """Combining marks, variation selectors, joiners: never separated from what they follow."""
    return character in "\u200d\ufe0e\ufe0f" or unicodedata.combining(character) != 0


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
    or Unicode paragraph separators. Sentences come from `sentencex` (Wikimedia), never cross a
    paragraph, have no white space around them, and are cut between words where they claim to be
    longer than 600 characters (tables, logs, code).

    Args:
        text: the whole document.
        language: a code of two or three letters; one that `sentencex` has no rules for is read
            by those of a related language or by general ones.

    Example:
        >>> bounds = find_bounds("One here. Two there.\r\n \r\nThree.")
        >>> bounds.sentences.tolist(), bounds.paragraphs.tolist()
        ([[0, 9], [10, 20], [25, 31]], [[0, 20], [25, 31]])
    """
    paragraphs = list(_paragraphs(text))
    sentences = [
        bounded
        for start, end in paragraphs
        for sentence in _sentences(text, start, end, language)
        for bounded in _bounded(text, *sentence)
    ]
    return TextBounds(_as_array(sentences), _as_array(paragraphs))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end, after in [*(m.span() for m in _PARAGRAPH_END.finditer(text)), (len(text), 0)]:
        if trimmed := _trimmed(text, start, end):
            yield trimmed
        start = after


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    """Bounds of one paragraph's sentences, with white space; a piece's last one is read again."""
    while start < end:
        stop = min(end, start + _PIECE)
        found = [
            (start + s["start_index"], start + s["end_index"])
            for s in sentencex.get_sentence_boundaries(language, text[start:stop])
        ]
        if stop < end and len(found) > 1:
            del found[-1]
        yield from found
        start = found[-1][1] if found else stop


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut one sentence into pieces that are not too long, trimmed; none for white space."""
    while trimmed := _trimmed(text, start, end):
        start, end = trimmed
        cut = end
        if end - start > _MAX_SENTENCE:
            cut = min(whole_words(text, start, start + _MAX_SENTENCE)[1], end)
        if piece := _trimmed(text, start, cut):  # a cut may fall behind a space
            yield piece
        start = cut


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without white space around; ``None`` if nothing is left."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None


def _as_array(bounds: list[tuple[int, int]]) -> np.ndarray:
    return np.array(bounds, dtype=np.uint32).reshape(-1, 2)
