"""What the peer methods rank: paragraphs, sentences, or chunks of so many tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.base import Tokenizing
from s3_retriever.text import find_bounds
from s3_retriever_bench.sharing import Shared, of_engine

__all__ = ["PARAGRAPH_TOKENS", "UnitKind", "Units", "owners", "shared_units", "units", "words"]

UnitKind = Literal[
    "paragraphs",
    "sentences",
    "titled sentences",
    "chunks of 128 tokens",
    "chunks of 256 tokens",
]
"""As a report calls them. A titled sentence is a sentence that is read with the title of its
paragraph in front; what is retrieved is the sentence."""

PARAGRAPH_TOKENS = 256
"""A longer paragraph is ranked in pieces of so many: the embedding models read no more, and no
budget would be left for a second one."""
CHUNKS: dict[UnitKind, int] = {"chunks of 128 tokens": 128, "chunks of 256 tokens": 256}
TITLE_CHARACTERS = 100
"""A longer first line is text."""


@dataclass(frozen=True)
class Units:
    """The units of a collection, in the order of its documents, without overlaps."""

    places: Sequence[Place]
    texts: Sequence[str]
    """What a scorer reads of each: its own characters, behind its title if it is titled."""


def shared_units(engine: Engine, kind: UnitKind) -> Shared[Units]:
    """Units of collections, for all methods made with the same engine; its model's tokens count."""
    llm = engine.llm

    def make(collection: Collection) -> Units:
        places = units(collection, kind, llm)
        texts = [collection.text(place) for place in places]
        if kind == "titled sentences":
            titles = _titles(collection, places)
            texts = [f"{t}\n{text}" if t else text for t, text in zip(titles, texts, strict=True)]
        return Units(places, texts)

    return of_engine(engine, ("units", kind), lambda: Shared(make))


def units(collection: Collection, kind: UnitKind, llm: Tokenizing) -> list[Place]:
    """All units of a collection, in the order of its documents, without overlaps.

    Args:
        collection: documents.
        kind: which; chunks are disjoint and leave nothing out.
        llm: its tokens are counted in chunks.
    """
    return [
        Place(document.id, start, end)
        for document in collection.documents
        for start, end in _bounds(document.text, kind, llm)
    ]


def owners(places: Sequence[Place], wider: Sequence[Place]) -> np.ndarray:
    """Which of some wider units, e.g. paragraphs, each unit begins in.

    Args:
        places: units; each begins in one of the wider.
        wider: units of the same documents, in order.

    Returns:
        ``(len(places),)`` positions in ``wider``.
    """
    begins: dict[str, tuple[list[int], list[int]]] = {}
    for number, place in enumerate(wider):
        starts, numbers = begins.setdefault(place.doc_id, ([], []))
        starts.append(place.start)
        numbers.append(number)
    found = []
    for place in places:
        starts, numbers = begins[place.doc_id]
        found.append(numbers[max(0, bisect_right(starts, place.start) - 1)])
    return np.array(found, dtype=np.intp)


def words(text: str) -> list[str]:
    """Lower-cased words, as BM25 takes them.

    Example:
        >>> words("Who kept the light?")
        ['who', 'kept', 'the', 'light']
    """
    return re.findall(r"\w+", text.lower())


def _bounds(text: str, kind: UnitKind, llm: Tokenizing) -> Iterator[tuple[int, int]]:
    if kind in CHUNKS:
        yield from _chunks(text, 0, CHUNKS[kind], llm)
    elif kind == "paragraphs":
        for start, end in find_bounds(text).paragraphs.tolist():
            yield from _chunks(text[start:end], start, PARAGRAPH_TOKENS, llm)
    else:
        yield from find_bounds(text).sentences.tolist()


def _chunks(text: str, offset: int, size: int, llm: Tokenizing) -> Iterator[tuple[int, int]]:
    """Ranges of ``size`` tokens, moved by ``offset`` characters; a short text is one, whole."""
    tokens = llm.tokenize(text)
    start = 0
    for first in range(0, len(tokens), size):
        # several tokens can make one character: the chunk that begins it has it
        start = max(start, int(tokens.starts[first]))
        end = int(tokens.ends[min(first + size, len(tokens)) - 1])
        if text[start:end].strip():
            yield offset + start, offset + end
        start = max(start, end)


def _titles(collection: Collection, places: Sequence[Place]) -> Iterator[str]:
    """The title of the paragraph that each sentence stands in; of the title itself, nothing."""
    paragraphs = [
        Place(document.id, start, end)
        for document in collection.documents
        for start, end in find_bounds(document.text).paragraphs.tolist()
    ]
    titles = [_title(collection.text(paragraph)) for paragraph in paragraphs]
    for place, owner in zip(places, owners(places, paragraphs), strict=True):
        title = titles[owner]
        yield title if place.start >= paragraphs[owner].start + len(title) else ""


def _title(paragraph: str) -> str:
    """The first of two lines, or of more if it does not end like a sentence; a short one."""
    first, *rest = paragraph.strip().split("\n")
    is_text = len(rest) > 1 and first.rstrip().endswith(tuple(".,;:!?"))
    return first if rest and not is_text and len(first) <= TITLE_CHARACTERS else ""
