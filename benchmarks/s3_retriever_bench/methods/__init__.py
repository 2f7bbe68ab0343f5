"""Retrieval methods, one file each; a new one is a class and a line here.

Several under one name are variants, e.g. over sentences and over paragraphs: all are run, and for
each budget the best one is reported, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from s3_retriever.engine import Engine
from s3_retriever_bench.methods.bm25 import BM25
from s3_retriever_bench.methods.dense import Cosines, E5Cosines
from s3_retriever_bench.methods.hyde import HyDE
from s3_retriever_bench.methods.infini_retri import InfiniRetri
from s3_retriever_bench.methods.method import Method, MethodUnavailable
from s3_retriever_bench.methods.oracle_context import ContextOracle
from s3_retriever_bench.methods.oracle_heads import HeadOracle
from s3_retriever_bench.methods.ranking import variants
from s3_retriever_bench.methods.rerank import Reranked
from s3_retriever_bench.methods.s3 import (
    S3,
    S3Attention,
    S3Fast,
    S3Hybrid,
    S3Pure,
    S3WithoutFeatures,
    TantivyBM25,
)

__all__ = ["METHODS", "PEERS", "Method", "MethodUnavailable"]

METHODS: dict[str, tuple[Callable[[Engine], Method], ...]] = {
    "bm25": variants(BM25),
    "tantivy-bm25": (TantivyBM25,),
    "dense": variants(Cosines),
    "dense-e5": variants(E5Cosines),
    "dense+bm25": variants(Cosines, BM25),
    "dense-e5+bm25": variants(E5Cosines, BM25),
    "dense+rerank": (
        partial(Reranked, kind="paragraphs"),
        partial(Reranked, kind="sentences"),
        partial(Reranked, kind="chunks of 256 tokens"),
    ),
    "hyde": variants(HyDE),
    "infini-retri": (InfiniRetri,),
    "s3-pure": (S3Pure,),
    "s3-hybrid": (S3Hybrid,),
    "s3-attention": (S3Attention,),
    "s3-fast": (S3Fast,),
    "s3-no-features": (S3WithoutFeatures,),
    "s3": (S3,),
    "oracle-heads": (HeadOracle,),
    "oracle-context": (ContextOracle,),
}
"""Variants by name; each is made with the engine whose model reads and counts the tokens."""

PEERS = (
    "bm25",
    "tantivy-bm25",
    "dense",
    "dense-e5",
    "dense+bm25",
    "dense-e5+bm25",
    "dense+rerank",
    "hyde",
    "infini-retri",
)
"""What users have now; comparisons are against the best of those that ran."""
