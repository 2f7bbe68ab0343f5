"""Questions with known evidence, from the files that the field uses, one format a file."""

from __future__ import annotations

from s3_retriever.labels.datasets.loading import load_collections, load_unanswerable

__all__ = ["load_collections", "load_unanswerable"]
