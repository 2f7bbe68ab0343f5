"""Text methods: what of a long context is kept for a question, under a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from s3_retriever.engine import Engine
from s3_retriever.generation.compress import with_edges
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.text import fitting_end
from s3_retriever.types import Document
from s3_retriever_bench.device import peak_memory
from s3_retriever_bench.longbench.records import Record
from s3_retriever_bench.longbench.tasks import TASKS, Family
from s3_retriever_bench.methods.bm25 import BM25
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.hyde import HyDE
from s3_retriever_bench.methods.method import Method
from s3_retriever_bench.methods.ranking import UnitRanking
from s3_retriever_bench.methods.rerank import Reranked
from s3_retriever_bench.methods.s3 import PUBLISHED, S3, S3Fast, S3Hybrid, S3Pure
from s3_retriever_bench.methods.units import UnitKind
from s3_retriever_bench.sharing import stopwatch

__all__ = ["SUMMARY_KERNEL", "TEXT_METHODS", "Shortened", "Shortener", "TextMethod"]

SUMMARY_KERNEL = 48
"""Width of the published density for summaries; for questions it is 8 (2601.17702, "Settings")."""


class TextMethod(NamedTuple):
    """How a retrieval method takes part in the table."""

    make: Callable[[Engine, Family, int], Method]
    """For a family of tasks and a budget."""
    depth: int | None = None
    """Only so many of the ranking's first places count."""


_Published = TypeVar("_Published", S3Pure, S3Hybrid)


def _published(make: Callable[[Engine], _Published]) -> Callable[[Engine, Family, int], Method]:
    """The published settings, which differ for summaries."""

    def made(engine: Engine, family: Family, _: int) -> Method:
        method = make(engine)
        if family == "summary":
            density = PUBLISHED.density.model_copy(update={"kernel": SUMMARY_KERNEL})
            method.settings = PUBLISHED.model_copy(update={"density": density})
        return method

    return made


def _as_shipped(make: Callable[[Engine], S3]) -> Callable[[Engine, Family, int], Method]:
    """The settings with which :meth:`Engine.compress` shortens one long text."""

    def made(engine: Engine, _: Family, max_tokens: int) -> Method:
        method = make(engine)
        method.settings = with_edges(engine.retrieve_settings, max_tokens)
        return method

    return made


SEGMENTS: UnitKind = "chunks of 256 tokens"

TEXT_METHODS: dict[str, TextMethod] = {
    "bm25": TextMethod(lambda engine, *_: UnitRanking(engine, [BM25], [SEGMENTS])),
    "rag-dense": TextMethod(lambda engine, *_: UnitRanking(engine, [Cosines], [SEGMENTS]), 100),
    "rag-rerank": TextMethod(lambda engine, *_: Reranked(engine, Cosines, SEGMENTS), depth=40),
    "hyde-rerank": TextMethod(lambda engine, *_: Reranked(engine, HyDE, SEGMENTS), depth=40),
    "s3-pure": TextMethod(_published(S3Pure)),
    "s3-hybrid": TextMethod(_published(S3Hybrid)),
    "s3-fast": TextMethod(_as_shipped(S3Fast)),
    "s3": TextMethod(_as_shipped(S3)),
}
"""By name. The peers rank disjoint segments of 256 tokens, as published: dense retrieval its best
100, the cross-encoder the best 40 of them."""


@dataclass(frozen=True)
class Shortened:
    """What a method keeps of a context."""

    text: str
    """Pieces of the context in its order; a line break where something is left out."""
    n_tokens: int
    """Of ``text``, in the model's tokens."""
    scan_s: float
    """Seconds of reading the whole context, before any question."""
    retrieve_s: float
    """Seconds of ranking for the question and filling the budget."""
    peak_bytes: int
    """Memory that both took (:func:`~s3_retriever_bench.device.peak_memory`)."""


class Shortener:
    """Shortens records by the text methods; what several of them make of a record is made once.

    Example:
        >>> from s3_retriever import Engine
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> tale = "It rained. " * 20 + "The keeper of the light was Ada. " + "It was cold. " * 20
        >>> record = Record("1", "hotpotqa", "Who kept the light?", tale, ("Ada",))
        >>> Shortener(engine).shorten(record, "s3", 8).text
        'The keeper of the light was Ada.'
    """

    def __init__(self, engine: Engine) -> None:
        """Read with the engine's model; its index is not touched."""
        self._engine = engine
        self._made: dict[tuple[str, Family, int], Method] = {}
        self._last: tuple[Record, Collection] | None = None
        self._read_peaks: dict[type, int] = {}

    def shorten(self, record: Record, method: str, max_tokens: int) -> Shortened:
        """What ``method`` keeps of the whole context, which no window limits.

        Args:
            record: its context is one document.
            method: a key of :data:`TEXT_METHODS`.
            max_tokens: budget, in the model's tokens.

        Raises:
            MethodUnavailable: the method cannot run here; the message says why.
        """
        collection = self._collection(record)
        using = self.method(method, record, max_tokens)
        device = torch.device(str(self._engine.llm.describe()["device"]))
        with peak_memory(device) as reading, stopwatch() as scan:
            using.read(collection)
        with peak_memory(device) as ranking_it, stopwatch() as retrieve:
            ranking = using.rank(TASKS[record.task].question(record.input))
            ranking = ranking[: TEXT_METHODS[method].depth]
            text, n_tokens = self._filled(collection, ranking, max_tokens)
        peak = max(self._read_peak(using, reading.bytes), ranking_it.bytes)
        return Shortened(text, n_tokens, scan.seconds, retrieve.seconds, peak)

    def method(self, name: str, record: Record, max_tokens: int) -> Method:
        """The method as it is used for a record's task and a budget, made once.

        Raises:
            MethodUnavailable: see :meth:`shorten`.
        """
        asked = TASKS[record.task].family, max_tokens
        if (name, *asked) not in self._made:
            self._made[(name, *asked)] = TEXT_METHODS[name].make(self._engine, *asked)
        return self._made[(name, *asked)]

    def _collection(self, record: Record) -> Collection:
        """The same object for the same record: that is how methods share what they make of it."""
        if self._last is None or self._last[0] != record:
            self._last = record, Collection((Document(record.id, record.context),), ())
            self._read_peaks.clear()
        return self._last[1]

    def _read_peak(self, method: Method, n_bytes: int) -> int:
        """What reading took: of methods that share what they read, what it took the first."""
        parts = [method, *(method.scorers if isinstance(method, UnitRanking) else ())]
        sharing = next(
            (kind for kind in (S3, Cosines) if any(isinstance(part, kind) for part in parts)),
            type(method),
        )
        return self._read_peaks.setdefault(sharing, n_bytes)

    def _filled(
        self, collection: Collection, ranking: Sequence[Place], max_tokens: int
    ) -> tuple[str, int]:
        """The best places as one text, the last of them cut to the budget, as published.

        Without the cut three segments of 256 tokens and a fourth's line break would leave a
        quarter of 1,024 unused. The breaks between places cost tokens, too.
        """
        taken: list[Place] = []
        for place in ranking:
            fitting = self._fitting(collection, taken, place, max_tokens)
            if fitting.start < fitting.end:
                taken.append(fitting)
            if fitting != place:
                break
        text = _joined(collection, taken)
        return text, self._engine.llm.count_tokens(text)

    def _fitting(
        self, collection: Collection, taken: Sequence[Place], place: Place, max_tokens: int
    ) -> Place:
        """As many whole words of a place's beginning as can be paid for beside ``taken``."""
        llm = self._engine.llm
        while place.start < place.end:
            joined = _joined(collection, [*taken, place])
            excess = llm.count_tokens(joined) - max_tokens
            if excess <= 0:
                break
            text = collection.text(place)
            # tokens of one character share its end, which is the text's own if it is the last
            ends = llm.tokenize(text).ends[:-excess]
            end = int(max(ends[ends < len(text)], default=0))
            place = place._replace(end=place.start + fitting_end(text, end))
        return place


def _joined(collection: Collection, places: Sequence[Place]) -> str:
    return collection.text_of(list(_merged(sorted(places), collection)))


def _merged(places: Sequence[Place], collection: Collection) -> Iterator[Place]:
    """Places in the text's order, with neighbours that only white space parts as one."""
    last: Place | None = None
    for place in places:
        if last is None:
            last = place
        elif not collection.text(Place(place.doc_id, last.end, place.start)).strip():
            last = last._replace(end=max(last.end, place.end))
        else:
            yield last
            last = place
    if last is not None:
        yield last
