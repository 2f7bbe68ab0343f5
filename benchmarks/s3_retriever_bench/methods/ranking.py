"""The order of units by what scorers make of them and of what they stand in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever_bench.methods.combining import reciprocal_ranks, z_scores
from s3_retriever_bench.methods.units import UnitKind, owners, shared_units

__all__ = ["FUSIONS", "VIEWS", "Scorer", "UnitRanking", "variants"]

VIEWS: tuple[tuple[UnitKind, ...], ...] = (
    ("paragraphs",),
    ("sentences",),
    ("sentences", "paragraphs"),
    ("titled sentences", "paragraphs"),
    ("chunks of 128 tokens",),
    ("chunks of 256 tokens",),
)
"""Units that are ranked, and the wider ones around them whose scores are added to theirs."""

Fusion = Callable[[Sequence[np.ndarray]], np.ndarray]
FUSIONS: dict[str, Fusion] = {"z-scores": z_scores, "reciprocal ranks": reciprocal_ranks}
"""By the name that a report gives them."""


class Scorer(Protocol):
    """Something that scores the units of one kind, e.g. BM25."""

    name: str
    """What a report calls it."""

    def read(self, collection: Collection) -> None:
        """Prepare for questions on these documents; replaces what was read before."""

    def scores(self, question: str) -> np.ndarray:
        """``(n_units,)``, more is better, in the order of the units."""


class UnitRanking:
    """Ranks every unit of a collection, e.g. its sentences by their BM25 and their paragraph's."""

    def __init__(
        self,
        engine: Engine,
        scorers: Sequence[Callable[[Engine, UnitKind], Scorer]],
        view: Sequence[UnitKind] = ("sentences",),
        fusion: str = "z-scores",
    ) -> None:
        """Count the tokens of chunks with the engine's model.

        Args:
            engine: what is read is shared by all rankings that are made with it.
            scorers: each scores the units of every kind.
            view: what is ranked, then what lends it its scores, as in :data:`VIEWS`.
            fusion: a name of :data:`FUSIONS`: how several scores become one.

        Raises:
            MethodUnavailable: a scorer's package or model is missing.
        """
        self.scorers = [make(engine, kind) for kind in view for make in scorers]
        self._units = [shared_units(engine, kind) for kind in view]
        self._fuse = FUSIONS[fusion]
        self._places: Sequence[Place] = ()
        self._owners: Sequence[np.ndarray] = ()
        names = " and ".join(dict.fromkeys(scorer.name for scorer in self.scorers))
        lent = "".join(f" with the scores of their {kind}" for kind in view[1:])
        self.note = f"{names}, {view[0]}{lent}"
        if len(self.scorers) > 1:
            self.note += f", {fusion}"

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        for scorer in self.scorers:
            scorer.read(collection)
        self._places, *wider = [shared.of(collection).places for shared in self._units]
        itself = np.arange(len(self._places))
        of_kind = [itself, *(owners(self._places, places) for places in wider)]
        of_each = len(self.scorers) // len(of_kind)
        self._owners = [owner for owner in of_kind for _ in range(of_each)]

    def rank(self, question: str) -> list[Place]:
        """Every unit, best first; of equal ones the first in the text."""
        scored = zip(self.scorers, self._owners, strict=True)
        score = self._fuse([scorer.scores(question)[owner] for scorer, owner in scored])
        return [self._places[n] for n in np.argsort(-score, kind="stable")]


def variants(
    *scorers: Callable[[Engine, UnitKind], Scorer],
) -> tuple[Callable[[Engine], UnitRanking], ...]:
    """A ranking of every view, and by every fusion if there are several scorers."""
    fusions = list(FUSIONS) if len(scorers) > 1 else ["z-scores"]
    return tuple(
        partial(UnitRanking, scorers=scorers, view=view, fusion=fusion)
        for view in VIEWS
        for fusion in fusions
    )
