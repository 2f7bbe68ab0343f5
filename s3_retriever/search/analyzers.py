"""What a block is found by: Tantivy's fields, and the terms of words and features in them."""

from __future__ import annotations

import functools

import numpy as np
import tantivy

__all__ = [
    "FEATURES",
    "WORDS",
    "block_key",
    "feature_analyzer",
    "search_schema",
    "term_table",
    "word_analyzer",
]

WORDS = "words"
FEATURES = "features"
_MAX_WORD = 64
"""Bytes; longer runs without a space are data, not words."""


def search_schema() -> tantivy.Schema:
    """The fields of a block; only its key is stored."""
    builder = tantivy.SchemaBuilder()
    for name in ("segment", "document"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("block", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(WORDS, tokenizer_name="words", index_option="freq")
    builder.add_text_field(FEATURES, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def word_analyzer() -> tantivy.TextAnalyzer:
    """Lower-case, accents folded, English stems: what users of a word index expect."""
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_MAX_WORD))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def feature_analyzer() -> tantivy.TextAnalyzer:
    """Terms of :func:`term_table` with spaces between."""
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
