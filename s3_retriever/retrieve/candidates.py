"""The tokens that are scored exactly: every block that words or features propose, or all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.config import CandidateSettings, Mode
from s3_retriever.index.candidates import Block, CandidateIndex, block_range
from s3_retriever.index.segment import Entry, Segment
from s3_retriever.index.store import Snapshot
from s3_retriever.retrieve.scoring import AttentionScorer, Scorer
from s3_retriever.retrieve.sweep import best_blocks

__all__ = ["Run", "codes_of", "find_candidates", "owner_of", "runs_of"]


@dataclass(frozen=True)
class Run:
    """Consecutive tokens of one document."""

    segment: Segment
    entry: Entry
    rows: tuple[int, int]
    """First and one past the last row in the segment's token arrays."""

    @property
    def characters(self) -> tuple[int, int]:
        """First and one past the last character in the document's text."""
        starts, ends = self.segment.starts, self.segment.ends
        return int(starts[self.rows[0]]), int(ends[self.rows[1] - 1])

    def __len__(self) -> int:
        """Number of tokens."""
        return self.rows[1] - self.rows[0]


def codes_of(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """``ids`` and ``activations`` of all runs, ``(n_tokens, n_hookpoints, k)`` each."""
    return (
        np.concatenate([r.segment.ids[slice(*r.rows)] for r in runs]),
        np.concatenate([r.segment.activations[slice(*r.rows)] for r in runs]),
    )


def find_candidates(
    snapshot: Snapshot,
    index: CandidateIndex,
    question: str,
    scorer: Scorer | None,
    settings: CandidateSettings,
    documents: Mapping[str, Sequence[int]] | None,
    mode: Mode,
) -> list[Run]:
    """Propose what to score.

    Args:
        snapshot: the index's state.
        index: where blocks are looked up.
        question: for the words leg.
        scorer: for the features leg; ``None`` where it does not propose.
        settings: how many blocks.
        documents: only these (numbers by segment name); ``None`` allows all.
        mode: which legs propose.
    """
    whole = _whole(snapshot, documents, settings.cover)
    if whole is not None:
        return whole
    n_words = 0 if mode == "features" else settings.words
    n_features = {
        "hybrid": settings.features,
        "fast": settings.features,
        "features": settings.features_alone,
        "bm25": 0,
    }[mode]
    blocks = [h.block for h in index.search_words(index.words(question), n_words, documents)]
    if mode == "features" and isinstance(scorer, AttentionScorer):
        # alone, features must find all there is; beside words, votes do (docs/performance.md)
        blocks += best_blocks(snapshot, scorer, n_features, documents)
    elif scorer is not None:
        features = scorer.features(settings.query_features)
        blocks += [h.block for h in index.search_features(features, n_features, documents)]
    return runs_of(snapshot, blocks)


def owner_of(snapshot: Snapshot, block: Block) -> tuple[Segment, Entry] | None:
    """The document a block belongs to; ``None`` if it is gone (Tantivy may lag behind)."""
    segment = snapshot.segments.get(block.segment)
    if segment is None or block.number >= len(segment.block_owner):
        return None
    entry = segment.entries[segment.block_owner[block.number]]
    live = snapshot.live.get(entry.id)
    return live if live is not None and live[0] is segment else None


def _whole(
    snapshot: Snapshot, documents: Mapping[str, Sequence[int]] | None, cover: int
) -> list[Run] | None:
    """Every allowed document as one run, if together they are few enough blocks."""
    if documents is None:
        if snapshot.n_blocks > cover:
            return None
        allowed = list(snapshot.live.values())
    else:
        allowed = [
            (snapshot.segments[name], snapshot.segments[name].entries[n])
            for name, numbers in documents.items()
            for n in numbers
        ]
        if sum(entry.n_blocks for _, entry in allowed) > cover:
            return None
    return [Run(segment, entry, entry.tokens) for segment, entry in allowed]


def runs_of(snapshot: Snapshot, blocks: Iterable[Block]) -> list[Run]:
    """Blocks as runs; neighbouring blocks of a document become one."""
    runs: list[Run] = []
    for block in sorted(set(blocks)):
        found = owner_of(snapshot, block)
        if found is None:
            continue
        segment, entry = found
        rows = block_range(entry, block.number)
        last = runs[-1] if runs else None
        if last and last.entry is entry and last.rows[1] == rows[0]:
            runs[-1] = Run(segment, entry, (last.rows[0], rows[1]))
        else:
            runs.append(Run(segment, entry, rows))
    return runs
