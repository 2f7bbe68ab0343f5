"""How alike two pieces of indexed text are, by the features the model has in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3_retriever.index.store import Snapshot

__all__ = ["similarities"]


def similarities(snapshot: Snapshot, ranges: Sequence[tuple[str, int, int]]) -> np.ndarray:
    """Cosines of the features of pieces of text; nothing is read again.

    Features count by how much more often they fire in a piece than in the index as a whole, so
    that what all text has in common makes no two pieces alike; square roots keep a few frequent
    features from deciding alone.

    Args:
        snapshot: the index's state.
        ranges: document id, first and one past the last character of each piece.

    Returns:
        ``(n, n)`` float32 in [0, 1], where 0 is no more alike than any two pieces. A document that
        is gone is like nothing, itself included.

    Example:
        >>> from s3_retriever import Document, Engine
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> texts = {"a": "Cats purr.", "b": "Cats purr.", "c": "Shares fell in Paris."}
        >>> report = engine.add([Document(i, text) for i, text in texts.items()])
        >>> ranges = [(i, 0, len(text)) for i, text in texts.items()]
        >>> alike = similarities(engine.index.snapshot, ranges)
        >>> bool(alike[0, 1] > 0.9 > alike[0, 2])
        True
    """
    if not ranges or not snapshot.live:
        return np.zeros((len(ranges), len(ranges)), dtype=np.float32)
    shares = snapshot.df / snapshot.n_tokens
    vectors = np.stack([_features(snapshot, piece, shares) for piece in ranges])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    cosines: np.ndarray = np.clip(vectors @ vectors.T, 0, 1)
    return cosines


def _features(snapshot: Snapshot, piece: tuple[str, int, int], shares: np.ndarray) -> np.ndarray:
    """``(n_hookpoints * n_latents,)`` float32: how often each feature fires beyond its share."""
    doc_id, start, end = piece
    if doc_id not in snapshot.live:
        return np.zeros(shares.size, dtype=np.float32)
    segment, entry = snapshot.live[doc_id]
    rows = slice(*entry.tokens)
    inside = (segment.starts[rows] < end) & (segment.ends[rows] > start)
    ids = segment.ids[rows][inside]
    fired = np.stack(
        [np.bincount(ids[:, h].ravel(), minlength=shares.shape[1]) for h in range(len(shares))]
    )
    features: np.ndarray = np.sqrt(fired) - np.sqrt(shares * len(ids))
    return features.ravel().astype(np.float32)
