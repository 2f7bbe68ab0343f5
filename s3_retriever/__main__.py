"""``python -m s3_retriever``."""

from __future__ import annotations

from s3_retriever.cli import main

main()
