"""Cutting one long text down to what a question needs, without an index on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.config import Mode, RetrieveSettings, Scoring
from s3_retriever.documents import problem_of
from s3_retriever.errors import InputError
from s3_retriever.generator.generator import Generator
from s3_retriever.index.segment import text_hash
from s3_retriever.index.store import Index
from s3_retriever.profile import Profile
from s3_retriever.retrieve.retriever import Retriever
from s3_retriever.scan.scanner import Scanner
from s3_retriever.types import Document, Span

__all__ = ["CompressedContext", "Compressor", "with_edges"]

_KEPT = 4
"""Texts whose codes are kept, so that a second question need not read them again."""

_EDGE_TOKENS = 32
_EDGE_SHARE = 16


def with_edges(settings: RetrieveSettings, max_tokens: int) -> RetrieveSettings:
    """The settings for one long text: its first and last tokens belong to the union (Eq. 8).

    Of each a sixteenth of the budget, at most 32 tokens: what a text begins with costs little and
    tells the model what it reads.

    Example:
        >>> with_edges(RetrieveSettings(), 256).fusion.lead_tokens
        16
    """
    n = min(_EDGE_TOKENS, max_tokens // _EDGE_SHARE)
    edges = settings.fusion.model_copy(update={"lead_tokens": n, "tail_tokens": n})
    return settings.model_copy(update={"fusion": edges})


@dataclass(frozen=True)
class CompressedContext:
    """The parts of a text that a question needs, in the text's order."""

    text: str
    """The spans; where something is left out between two, a line with three dots."""
    spans: tuple[Span, ...]
    """In the order of the text; ``rank`` tells their order of merit."""
    n_tokens: int
    """Tokens of :attr:`text`, in the generator's count."""


class Compressor:
    """Compresses texts, and keeps the codes of the last few."""

    def __init__(
        self, retriever: Retriever, scanner: Scanner, generator: Generator, profile: Profile
    ) -> None:
        """All of the same model."""
        self._retriever = retriever
        self._scanner = scanner
        self._generator = generator
        self._profile = profile
        self._kept: OrderedDict[str, Index] = OrderedDict()
        self._lock = threading.Lock()

    def compress(
        self,
        question: str,
        text: str,
        max_tokens: int,
        *,
        mode: Mode,
        scoring: Scoring | None,
        settings: RetrieveSettings,
        token_scores: bool,
    ) -> CompressedContext:
        """Arguments and errors are those of :meth:`Engine.compress`."""
        if max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {max_tokens}")
        document = Document("context", text)
        if reason := problem_of(document):
            raise InputError(f"the text to compress: {reason}")
        spans = self._retriever.retrieve(
            self._index_of(document).view,
            question,
            max_tokens=max_tokens,
            k=None,
            filter=None,
            mode=mode,
            scoring=scoring,
            settings=settings,
            token_scores=token_scores,
        )
        count = self._generator.count_tokens
        if (whole := count(text)) <= max_tokens:
            span = Span("context", 0, len(text), text, score=1.0, scores={}, rank=0)
            return CompressedContext(text, (span,), whole)
        while True:  # what stands between spans costs tokens too: the worst makes room for it
            in_order = sorted(spans, key=lambda s: s.start)
            joined = _joined(text, in_order)
            if (n := count(joined)) <= max_tokens or not spans:
                return CompressedContext(joined, tuple(in_order), n)
            spans = spans[:-1]

    def _index_of(self, document: Document) -> Index:
        key = text_hash(document.text)
        with self._lock:
            if key not in self._kept:
                index = Index(None, self._profile)
                with index.writing():
                    index.commit(list(self._scanner.scan([document])))
                self._kept[key] = index
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]


def _joined(text: str, spans: Sequence[Span]) -> str:
    """Spans of ``text`` in order, with dots where more than white space is left out."""
    parts = []
    for n, span in enumerate(spans):
        if n:
            between = text[spans[n - 1].end : span.start]
            parts.append("\n...\n" if between.strip() else between)
        parts.append(span.text)
    return "".join(parts)
