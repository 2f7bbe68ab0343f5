"""The words leg: BM25 over the sentences of the blocks that Tantivy proposes.

Blocks of 64 tokens are the right grain for finding and the wrong one for a tight budget, so the
sentences in them are scored again, with document frequencies of the whole index.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from s3_retriever.index.candidates import CandidateIndex
from s3_retriever.retrieve.candidates import Run
from s3_retriever.retrieve.spans import Piece
from s3_retriever.text import sentences

__all__ = ["pieces_from_words"]

_K1 = 1.2
_B = 0.75


def pieces_from_words(
    index: CandidateIndex, question: str, runs: Sequence[Run], limit: int
) -> list[Piece]:
    """The ``limit`` best sentences of ``runs`` by BM25 (k1 1.2, b 0.75), best first.

    Only sentences that share a word with the question are pieces.

    Args:
        index: gives words and how many blocks hold them.
        question: plain text.
        runs: where to look.
        limit: most pieces.
    """
    n_blocks = index.n_blocks()
    idf = {
        word: math.log(1 + (n_blocks - df + 0.5) / (df + 0.5))
        for word in dict.fromkeys(index.words(question))
        for df in [index.block_frequency(word)]
    }
    found = [
        (Piece(run.segment, run.entry, start, end, 0.0), Counter(index.words(text[start:end])))
        for run in runs
        for text in [run.segment.text(run.entry)]
        for start, end in sentences(text, *run.characters)
    ]
    if not found:
        return []
    mean_length = sum(counts.total() for _, counts in found) / len(found) or 1.0
    pieces = {}
    for piece, counts in found:
        norm = _K1 * (1 - _B + _B * counts.total() / mean_length)
        shared = [(weight, counts[word]) for word, weight in idf.items() if counts[word]]
        if shared:
            score = sum(weight * tf * (_K1 + 1) / (tf + norm) for weight, tf in shared)
            # runs of one document may meet in a sentence: one piece
            pieces[(id(piece.entry), piece.start)] = replace(piece, score=score)
    return sorted(pieces.values(), key=lambda p: -p.score)[:limit]
