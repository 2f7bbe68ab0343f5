"""Retrieval methods, one file each; a new one is a class and a line here.

Several classes under one name are variants, e.g. over sentences and over chunks: all are run, and
for each budget the better one is reported, by name.
"""

from __future__ import annotations

from collections.abc import Callable

from s3_retriever.engine import Engine
from s3_retriever_bench.methods.bm25 import ChunkBM25, SentenceBM25
from s3_retriever_bench.methods.dense import Dense, DenseChunks
from s3_retriever_bench.methods.dense_bm25 import DenseBM25, DenseBM25Chunks
from s3_retriever_bench.methods.hyde import HyDE, HyDEChunks
from s3_retriever_bench.methods.infini_retri import InfiniRetri
from s3_retriever_bench.methods.method import Method, MethodUnavailable
from s3_retriever_bench.methods.oracle_context import ContextOracle
from s3_retriever_bench.methods.oracle_heads import HeadOracle
from s3_retriever_bench.methods.rerank import DenseRerank, DenseRerankChunks
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
    "bm25": (SentenceBM25, ChunkBM25),
    "tantivy-bm25": (TantivyBM25,),
    "dense": (Dense, DenseChunks),
    "dense+bm25": (DenseBM25, DenseBM25Chunks),
    "dense+rerank": (DenseRerank, DenseRerankChunks),
    "hyde": (HyDE, HyDEChunks),
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

PEERS = ("bm25", "tantivy-bm25", "dense", "dense+bm25", "dense+rerank", "hyde", "infini-retri")
"""What users have now; comparisons are against the best of those that ran."""
