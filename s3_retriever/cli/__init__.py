"""The command line: ``s3-retriever``."""

from __future__ import annotations

from s3_retriever.cli.app import main

__all__ = ["main"]
