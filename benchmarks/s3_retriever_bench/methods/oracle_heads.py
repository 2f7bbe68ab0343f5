"""The chosen heads without an autoencoder: what the codes can reach at most."""

from __future__ import annotations

import torch
from torch import Tensor

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.retrieval.candidates import Run
from s3_retriever.retrieval.fusion import fuse
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.spans import pieces_from_scores
from s3_retriever.settings import RetrieveSettings
from s3_retriever_bench.keys import read_keys
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.s3 import scanned
from s3_retriever_bench.proposals import proposals

__all__ = ["HeadOracle"]


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
        self._settings: RetrieveSettings = engine.retrieve_settings
        self._scanned = scanned(engine)

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        self._index = self._scanned.of(collection)
        prefix = self._profile.card.chunk_prefix
        self._keys = {
            d.id: read_keys(
                self._llm,
                self._profile,
                self._llm.tokenize(d.text).ids,
                chunk_tokens=self._chunk_tokens,
                prefix=prefix,
            )
            for d in collection.documents
        }
        null = self._settings.scoring.null_question
        self._null = project_question(self._llm, self._profile, null) if null is not None else None

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        scorer, runs = proposals(self._index, question, "features", self._null)
        if not runs:
            return []
        scores = scorer.score_keys(self._keys_of(runs))
        pieces = pieces_from_scores(runs, scores, self._settings.density, self._settings.spans)
        fused = [item.piece for item in fuse({"features": pieces}, self._settings.fusion)]
        return [Place(piece.entry.id, piece.start, piece.end) for piece in fused]

    def _keys_of(self, runs: list[Run]) -> list[Tensor]:
        found: list[list[Tensor]] = [[] for _ in self._profile.card.hookpoints]
        for run in runs:
            first = run.entry.tokens[0]
            for part, keys in zip(found, self._keys[run.entry.id], strict=True):
                part.append(keys[run.rows[0] - first : run.rows[1] - first])
        return [torch.cat(part) for part in found]
