"""How alike two pieces of indexed text are, by the features the model has in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef

__all__ = ["similarities"]


def similarities(store: CodeStore, refs: Sequence[SpanRef]) -> np.ndarray:
    """Cosines of the features of pieces of text; nothing is read again.

    Features count by how much more often they fire in a piece than in the index as a whole, so
    that what all text has in common makes no two pieces alike; square roots keep a few frequent
    features from deciding alone.

    Args:
        store: one state of an index.
        refs: the pieces.

    Returns:
        ``(n, n)`` float32 in [0, 1], where 0 is no more alike than any two pieces. A document that
        is gone is like nothing, itself included.

    Example:
        >>> from s3_retriever import Document, Engine
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> texts = {"a": "Cats purr.", "b": "Cats purr.", "c": "Shares fell in Paris."}
        >>> report = engine.add([Document(i, text) for i, text in texts.items()])
        >>> refs = [SpanRef(i, 0, len(text)) for i, text in texts.items()]
        >>> alike = similarities(engine.index.view, refs)
        >>> bool(alike[0, 1] > 0.9 > alike[0, 2])
        True
    """
    if not refs or not store.n_documents:
        return np.zeros((len(refs), len(refs)), dtype=np.float32)
    shares = store.df / store.n_tokens
    vectors = np.stack([_features(store, ref, shares) for ref in refs])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    cosines: np.ndarray = np.clip(vectors @ vectors.T, 0, 1)
    return cosines


def _features(store: CodeStore, ref: SpanRef, shares: np.ndarray) -> np.ndarray:
    """``(n_hookpoints * n_latents,)`` float32: how often each feature fires beyond its share."""
    if ref.doc_id not in store:
        return np.zeros(shares.size, dtype=np.float32)
    batch = store.tokens([store.whole_document(ref.doc_id)])
    ids = batch.ids[(batch.starts < ref.end) & (batch.ends > ref.start)]
    fired = np.stack(
        [np.bincount(ids[:, h].ravel(), minlength=shares.shape[1]) for h in range(len(shares))]
    )
    features: np.ndarray = np.sqrt(fired) - np.sqrt(shares * len(ids))
    return features.ravel().astype(np.float32)
