"""A server's engine from elsewhere, over HTTP; neither torch nor transformers is imported.

Example:
    >>> from s3_retriever.client import Client
    >>> Client("http://127.0.0.1:8321", token="0123456789abcdef")
    Client('http://127.0.0.1:8321')
"""

from __future__ import annotations

try:
    import httpx  # noqa: F401
except ImportError as e:
    raise ImportError(
        "s3_retriever.client needs httpx, which is not installed; run: pip install "
        '"s3-retriever[client]"'
    ) from e

from s3_retriever.client.answers import AsyncRemoteAnswer, RemoteAnswer
from s3_retriever.client.chat import RemoteChat, RemoteReply
from s3_retriever.client.client import Client
from s3_retriever.client.records import FoundSpans

__all__ = [
    "AsyncRemoteAnswer",
    "Client",
    "FoundSpans",
    "RemoteAnswer",
    "RemoteChat",
    "RemoteReply",
]
