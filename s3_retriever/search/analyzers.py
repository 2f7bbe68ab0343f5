"""What a block is found by: Tantivy's fields, and the terms of words and features in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import regex
import tantivy

from s3_retriever.search.folding import folded
from s3_retriever.search.languages import LANGUAGES, spoken, stops_in

__all__ = [
    "FEATURES",
    "WORDS",
    "block_key",
    "content_stems",
    "language_term",
    "languages_of",
    "search_schema",
    "stems",
    "term_analyzer",
    "term_table",
]

WORDS = "words"
FEATURES = "features"
_MARK = regex.compile(r"\p{M}")
_SPEAKS = "language:"
"""What begins the term by which a block's language is known; no word has a colon."""


def search_schema() -> tantivy.Schema:
    """The fields of a block; only its key is stored."""
    builder = tantivy.SchemaBuilder()
    for name in ("segment", "document"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("block", stored=True, tokenizer_name="raw", index_option="basic")
    # "words" was once the name of more than a splitter; it is stored in every index
    builder.add_text_field(WORDS, tokenizer_name="words", index_option="freq")
    builder.add_text_field(FEATURES, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def stems(text: str, language: str) -> list[str]:
    """The words of a text as they are compared: folded, stems by a language's rules, no accents.

    A language that Tantivy has no stems for keeps its words whole.

    Args:
        text: of a document or a question.
        language: a code.

    Example:
        >>> stems("Watering ROSES", "en"), stems("Häuser", "de"), stems("Häuser", "xx")
        (['water', 'rose'], ['haus'], ['hauser'])
    """
    text = folded(text, language)
    found: list[str] = _stemmer(language, _has_marks(text)).analyze(text)
    return found


def content_stems(question: str, languages: Sequence[str]) -> list[str]:
    """A question's words as documents of several languages hold them, without its stop words.

    A stop word of one language is rare among documents of others, so that it would weigh as much
    as what is asked for. A question of nothing else keeps them.

    Args:
        question: plain text.
        languages: of the documents.

    Example:
        >>> content_stems("Wo stehen die Häuser?", ["en", "de"])
        ['stehen', 'hauser', 'steh', 'haus']
    """
    text = folded(question)
    words: list[str] = _splitter(_has_marks(text)).analyze(text)
    language = spoken(words, languages)
    kept = " ".join([w for w in words if not stops_in(w, language)] or words)
    found = stems(kept, languages[0])
    known = set(found)
    for code in languages[1:]:
        found += [word for word in stems(kept, code) if word not in known]
        known.update(found)
    return found


def language_term(language: str) -> str:
    """The term of blocks in a language; those in English have none."""
    return _SPEAKS + language


def languages_of(terms: Iterable[str]) -> list[str]:
    """The languages that terms of blocks name, English first."""
    return ["en", *sorted({term.removeprefix(_SPEAKS) for term in terms})]


@functools.cache
def _splitter(marks: bool) -> tantivy.TextAnalyzer:
    return tantivy.TextAnalyzerBuilder(_words(marks)).build()


@functools.cache
def _stemmer(language: str, marks: bool) -> tantivy.TextAnalyzer:
    """English goes by letters without accents, as it always did; others' endings need theirs."""
    builder, plain = tantivy.TextAnalyzerBuilder(_words(marks)), tantivy.Filter.ascii_fold()
    if language == "en":
        return builder.filter(plain).filter(tantivy.Filter.stemmer("english")).build()
    if name := LANGUAGES.get(language):
        builder = builder.filter(tantivy.Filter.stemmer(name))
    return builder.filter(plain).build()


def _words(marks: bool) -> tantivy.Tokenizer:
    """Runs of letters, digits and marks; the fast splitter ends a word at Indic and Thai marks."""
    if marks:
        return tantivy.Tokenizer.regex(r"[\p{Alphabetic}\p{M}\p{N}]+")
    return tantivy.Tokenizer.simple()


def _has_marks(text: str) -> bool:
    return not text.isascii() and _MARK.search(text) is not None


def term_analyzer() -> tantivy.TextAnalyzer:
    """Terms with spaces between: words are cut and stemmed before they come to Tantivy."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


@functools.cache
def term_table(n_hookpoints: int, n_latents: int) -> np.ndarray:
    """``(n_hookpoints, n_latents)`` fixed-width terms: a table makes a block's text in one step."""
    terms = [f"{h:x}.{f:06x} " for h in range(n_hookpoints) for f in range(n_latents)]
    width = max(map(len, terms))
    table = np.array([t.ljust(width).encode() for t in terms], dtype=f"S{width}")
    return table.reshape(n_hookpoints, n_latents)


def block_key(segment: str, number: int) -> str:
    """The term by which a block (or, in its own field, a document) of a segment is known."""
    return f"{segment}/{number}"
