"""The language of a document, as far as its words are concerned: given, or told by its text."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import regex
import tantivy

from s3_retriever.search.folding import folded
from s3_retriever.text import language_code

__all__ = ["LANGUAGES", "SAMPLE", "document_language", "spoken", "stops_in"]

LANGUAGES = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""Those that Tantivy has stems for, by code."""
_OTHER_CODES = {
    **{"nb": "no", "nn": "no", "nob": "no", "nno": "no", "nor": "no", "ara": "ar", "dan": "da"},
    **{"deu": "de", "ger": "de", "ell": "el", "gre": "el", "eng": "en", "spa": "es", "fin": "fi"},
    **{"fra": "fr", "fre": "fr", "hun": "hu", "ita": "it", "nld": "nl", "dut": "nl", "por": "pt"},
    **{"ron": "ro", "rum": "ro", "rus": "ru", "swe": "sv", "tam": "ta", "tur": "tr"},
}
_WITHOUT_STOP_WORDS = {"ar", "el", "ro", "ta", "tr"}
"""Tantivy has no list of them."""
_TOLD_BY = {
    "da": "af hvad nogle efter blev jer",
    "no": "av hva noen etter ble dere",
    "en": "he she his her him they you your i we our us me my from has have had were been which "
    "who what when where how why do does did can could would should may so than more out up about "
    "all one said also after over its first two other some only any each were am",
    "ro": "și şi în pe cu care este nu sunt din că mai sau pentru fost ale lui de la o un",
    "tr": "ve bir bu için ile da de çok olarak daha gibi ne değil olan var kadar sonra",
}
"""Frequent words, where Tantivy's lists are short or missing."""
_SCRIPTS = {
    code: regex.compile(rf"\p{{{script}}}")
    for code, script in (("ru", "Cyrillic"), ("el", "Greek"), ("ar", "Arabic"), ("ta", "Tamil"))
}
_LETTER = regex.compile(r"\p{L}")
_WORD = regex.compile(r"[\p{L}\p{M}]+")
SAMPLE = 2000
"""Characters at the start of a text that tell its language."""


def document_language(metadata: Mapping[str, Any], text: str) -> str:
    """A document's language: the code that its metadata name, else what its text shows.

    Text shows a language by its script or by its stop words; where it shows none, it counts as
    English.

    Args:
        metadata: ``language`` or ``lang`` may be a code of two or three letters.
        text: its first characters, at least :data:`SAMPLE` of them.

    Example:
        >>> document_language({"lang": "nb-NO"}, ""), document_language({}, "Le chat est sur moi.")
        ('no', 'fr')
    """
    if named := language_code(metadata):
        return _OTHER_CODES.get(named, named)
    return _shown(text[:SAMPLE])


@functools.lru_cache(maxsize=1024)
def _shown(text: str) -> str:
    letters = len(_LETTER.findall(text))
    if not text.isascii():
        for code, script in _SCRIPTS.items():
            if len(script.findall(text)) * 2 > letters:
                return code
    words = set(_WORD.findall(folded(text)))
    counts = _counts(words)
    best = max(counts, key=lambda code: (counts[code], code == "en"), default="en")
    clear = counts[best] >= 2 * counts["en"] and counts[best] * 8 >= len(words)
    return best if clear and counts[best] >= 2 else "en"


def spoken(words: Iterable[str], among: Iterable[str]) -> str:
    """Which of some languages words are of, by their stop words; the first where none shows."""
    counts, languages = _counts(words), tuple(among)
    return max(languages, key=lambda code: (counts[code], -languages.index(code)))


def _counts(words: Iterable[str]) -> Counter[str]:
    return Counter(code for word in words for code in _languages_of(word))


@functools.lru_cache(maxsize=1 << 16)
def _languages_of(word: str) -> tuple[str, ...]:
    """Languages in which a word is so frequent that it tells them."""
    return tuple(c for c in LANGUAGES if stops_in(word, c) or word in _told_by().get(c, ()))


def stops_in(word: str, language: str) -> bool:
    """Whether a word, folded, is a stop word of a language."""
    if language in _WITHOUT_STOP_WORDS:
        return word in _told_by().get(language, ())
    return language in LANGUAGES and not _without_stop_words(language).analyze(word)


@functools.cache
def _told_by() -> dict[str, frozenset[str]]:
    return {code: frozenset(words.split()) for code, words in _TOLD_BY.items()}


@functools.cache
def _without_stop_words(language: str) -> tantivy.TextAnalyzer:
    keep = tantivy.Filter.stopword(LANGUAGES[language])
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(keep).build()
