"""Reading files into documents: plain text, Markdown, reStructuredText, HTML and PDF.

A file a format; :func:`register_reader` adds one from outside the package.
"""

from __future__ import annotations

from s3_retriever.readers.base import Content, Reader, UnreadableError
from s3_retriever.readers.changes import FileChanges, changes_of
from s3_retriever.readers.files import FilesRead, read_files
from s3_retriever.readers.registry import register_reader, suffixes

__all__ = [
    "Content",
    "FileChanges",
    "FilesRead",
    "Reader",
    "UnreadableError",
    "changes_of",
    "read_files",
    "register_reader",
    "suffixes",
]
