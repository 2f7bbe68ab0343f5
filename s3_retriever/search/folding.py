"""One spelling for text and questions, so that words meet however they were typed.

Only what is looked up is folded; texts are stored, and offsets counted, as they are.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import regex

from s3_retriever.segmentation.words import PIECE, long_words, separate_ideographs

__all__ = ["folded"]

_UNSEEN = regex.compile(r"\u00ad(?:(?:\r\n|[\n\r\x85\u2028])[ \t]*)?|[\p{DI}\u0640]")
"""Soft hyphens, with the line end that one stands at; joiners, direction marks, variation
selectors; the Arabic letters' stretcher."""
_MARKS = regex.compile(r"(?V1)[\p{Mn}&&[\p{Inherited}\p{Hebrew}\p{Arabic}\p{Syriac}]]")
"""What no letter composes with: vowel points, stress; not the vowel signs of Indic scripts."""
_SPACELESS = regex.compile(r"\p{LB=SA}+")
"""Thai, Lao, Khmer, Burmese and their like: no spaces between words."""
_ALIKE = {
    ord("\N{TRADE MARK SIGN}"): " ",  # not letters of the word before it
    ord("\N{SERVICE MARK}"): " ",
    ord("ё"): "е",
    ord("Ё"): "Е",
    ord("ی"): "ي",
    ord("ک"): "ك",
    **{
        code: base
        for code in (*range(0x370, 0x400), *range(0x1F00, 0x2000))
        if (base := unicodedata.normalize("NFD", chr(code))[0]).isalpha() and base != chr(code)
    },
}
"""Letters that are written for one another, and those of Greek without accents."""
_TURKISH = {ord("I"): "ı", ord("İ"): "i"}


def folded(text: str, language: str = "en") -> str:
    r"""A text as its words are compared: without case, points, and what cannot be seen.

    Ideographs stand apart, text without spaces becomes overlapping pairs of letters, and what is
    longer than a word can be (a hash) pieces of 64 letters and digits, counted from its start.

    Args:
        text: of a document or a question.
        language: in whose letters it is; Turkish has two kinds of i.

    Example:
        >>> folded("CAFE\u0301 co\u00adoperate ﬁne 東京")
        'café cooperate fine  東  京 '
    """
    if language == "tr":
        text = text.translate(_TURKISH)
    if not text.isascii():
        text = _UNSEEN.sub("", text).translate(_ALIKE)
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = separate_ideographs(_MARKS.sub("", text).translate(_ALIKE))
        text = _SPACELESS.sub(_pairs, text)
    text = text.casefold()
    parts, done = [], 0
    for start, end in long_words(text):
        parts.append(text[done:start])
        parts += [text[at : min(at + PIECE, end)] + " " for at in range(start, end, PIECE)]
        done = end
    return "".join([*parts, text[done:]])


def _pairs(run: regex.Match[str]) -> str:
    letters = regex.findall(r"\X", run[0])
    pairs = [a + b for a, b in pairwise(letters)] or letters
    return f" {' '.join(pairs)} "
