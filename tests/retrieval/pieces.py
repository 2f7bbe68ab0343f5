"""A small document and candidates in it."""

from __future__ import annotations

from s3_retriever.retrieval.fusion import FusedPiece
from s3_retriever.retrieval.spans import Piece
from s3_retriever.storage.segments import Segment
from tests.storage.conftest import N_LATENTS, code

TEXT = (
    "Skerry Point\nThe lighthouse was finished in 1887. Its first keeper was Anna Lind.\n\n"
    "Bread\nSourdough needs no bought yeast. Flour and water ferment for a week. Then it is baked."
)
SEGMENT = Segment.build("s", [code("a", TEXT)], N_LATENTS)


def candidate(text: str) -> FusedPiece:
    start = TEXT.index(text)
    return FusedPiece(Piece(SEGMENT, SEGMENT.entries[0], start, start + len(text), 1.0), 1.0, {})
