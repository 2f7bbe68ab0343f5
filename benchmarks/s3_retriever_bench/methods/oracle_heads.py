"""The chosen heads without an autoencoder: what the codes can reach at most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.retrieval.fusion import SpanUnion
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.spans import spans_from_scores
from s3_retriever.types import TokenRange
from s3_retriever_bench.keys import read_keys
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.s3 import scanned
from s3_retriever_bench.proposals import Proposer

__all__ = ["HeadOracle"]

MODE = "features"


class HeadOracle:
    """``s3-attention`` with the keys themselves, kept whole in memory, in place of their codes."""

    note = "keys whole, in memory"

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model, profile and settings; its index is not touched.

        Raises:
            MethodUnavailable: the profile has no heads.
        """
        self._llm = engine.llm
        self._profile = engine.profile
        if not self._profile.card.heads:
            raise MethodUnavailable(f"profile {self._profile.card.name} has no query heads")
        self._chunk_tokens = engine.scan_settings.chunk_tokens
        self._settings = engine.retrieve_settings
        self._scanned = scanned(engine)
        self._propose = Proposer(engine, MODE)

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        self._index = self._scanned.of(collection)
        self._keys = {
            d.id: read_keys(
                self._llm,
                self._profile,
                self._llm.tokenize(d.text).ids,
                chunk_tokens=self._chunk_tokens,
                prefix=self._profile.card.chunk_prefix,
            )
            for d in collection.documents
        }

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        view, settings = self._index.documents.view, self._settings
        scorer, ranges = self._propose(view, question)
        if not ranges:
            return []
        scores = scorer.score_keys(self._keys_of(ranges))
        spans = spans_from_scores(
            view, view.tokens(ranges), scores, settings.density, settings.spans
        )
        union = SpanUnion(view)
        union.add("features", spans)
        weights = preset_named(MODE).weights(settings)
        ranked = union.ranked(weights, settings.fusion.paragraph_weight)
        return [Place(item.ref.doc_id, item.ref.start, item.ref.end) for item in ranked]

    def _keys_of(self, ranges: Sequence[TokenRange]) -> list[Tensor]:
        """For each hookpoint ``(n_tokens, d_in)``."""
        of_ranges = [[k[r.first : r.last] for k in self._keys[r.doc_id]] for r in ranges]
        return [torch.cat(parts) for parts in zip(*of_ranges, strict=True)]
