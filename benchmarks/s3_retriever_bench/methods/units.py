"""What the peer methods rank: sentences, or chunks of 256 tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.base import Tokenizing
from s3_retriever.text import find_bounds

__all__ = ["CHUNK_TOKENS", "DEPTH", "UNIT_NAMES", "UnitKind", "units", "words"]

UnitKind = Literal["sentences", "chunks"]

CHUNK_TOKENS = 256
DEPTH = 1000
"""Most units in a ranking, the depth of a TREC run."""
UNIT_NAMES: dict[UnitKind, str] = {
    "sentences": "sentences",
    "chunks": f"chunks of {CHUNK_TOKENS} tokens",
}
"""What a report calls them."""


def units(collection: Collection, kind: UnitKind, llm: Tokenizing) -> list[Place]:
    """All units of a collection, in the order of its documents, without overlaps.

    Args:
        collection: documents.
        kind: sentences, or disjoint chunks of 256 tokens.
        llm: its tokens are counted in chunks.
    """
    return [
        Place(document.id, start, end)
        for document in collection.documents
        for start, end in (
            find_bounds(document.text).sentences.tolist()
            if kind == "sentences"
            else _chunks(document.text, llm)
        )
    ]


def _chunks(text: str, llm: Tokenizing) -> Iterator[tuple[int, int]]:
    tokens = llm.tokenize(text)
    start = 0
    for first in range(0, len(tokens), CHUNK_TOKENS):
        # several tokens can make one character: the chunk that begins it has it
        start = max(start, int(tokens.starts[first]))
        end = int(tokens.ends[min(first + CHUNK_TOKENS, len(tokens)) - 1])
        if text[start:end].strip():
            yield start, end
        start = max(start, end)


def words(text: str) -> list[str]:
    """Lower-cased words, as BM25 takes them.

    Example:
        >>> words("Who kept the light?")
        ['who', 'kept', 'the', 'light']
    """
    return re.findall(r"\w+", text.lower())
