"""HyDE, then a cross-encoder over its best hundred."""

from __future__ import annotations

from s3_retriever_bench.methods.hyde import HyDEChunks
from s3_retriever_bench.methods.rerank import DenseRerankChunks

__all__ = ["HyDERerankChunks"]


class HyDERerankChunks(DenseRerankChunks, HyDEChunks):
    """Over chunks of 256 tokens; the cross-encoder reads the question, not the passage."""
