"""Retrieval methods, one file each; a new one is a class with ``retrieve`` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from s3_retriever.engine import Engine
from s3_retriever.evaluate.datasets import Example, Range
from s3_retriever.evaluate.methods.bm25 import ChunkBM25, SentenceBM25
from s3_retriever.evaluate.methods.s3 import S3, S3Attention, S3Hybrid, S3Pure, TantivyBM25

__all__ = ["METHODS", "PEERS", "Method"]


class Method(Protocol):
    """Something that finds text for a question under a budget."""

    def retrieve(self, example: Example, max_tokens: int) -> list[Range]:
        """Character ranges of ``example.context``, together at most ``max_tokens`` tokens."""


METHODS: dict[str, Callable[[Engine], Method]] = {
    "bm25": SentenceBM25,
    "bm25-chunks": ChunkBM25,
    "tantivy-bm25": TantivyBM25,
    "s3-pure": S3Pure,
    "s3-hybrid": S3Hybrid,
    "s3-attention": S3Attention,
    "s3": S3,
}
"""By name; each is made with the engine whose model counts the tokens."""

PEERS = ("bm25", "bm25-chunks", "tantivy-bm25")
"""What users have now; comparisons are against the best of these."""
