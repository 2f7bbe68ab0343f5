"""JSON and JSON lines: text as it is; its units follow its records and values.

Nothing is parsed: a file that is cut off is read as far as it goes, and offsets are the file's.
"""

from __future__ import annotations

from s3_retriever.readers.base import Reader
from s3_retriever.readers.text import plain_content

__all__ = ["READER"]

READER = Reader((".json", ".jsonl", ".ndjson", ".geojson"), plain_content)
"""Records of any depth."""
