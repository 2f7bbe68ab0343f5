"""Cutting one long text down to what a question needs, without an index on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from s3_retriever.arguments import COUNT, SETTINGS, SOME_NAME, TEXT, checked
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError
from s3_retriever.forking import ForkLock
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.pipeline import Retriever, check_asked
from s3_retriever.settings import Mode, RetrieveSettings, Scoring
from s3_retriever.storage.index import Index
from s3_retriever.storage.segment_format import text_hash
from s3_retriever.storage.view import View
from s3_retriever.types import CompressedContext, Document, Span
from s3_retriever.validation import problem_of

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


class Compressor:
    """Compresses texts, and keeps the codes of the last few; an engine has this method."""

    def __init__(
        self,
        retriever: Retriever,
        scanner: Scanner,
        llm: LanguageModel,
        profile: Profile,
        *,
        settings: Callable[[], RetrieveSettings],
    ) -> None:
        """Take what reads and retrieves.

        Args:
            retriever: of the model and profile.
            scanner: of the same.
            llm: the resident model.
            profile: made for it.
            settings: the engine's defaults, as they are when a question is asked.
        """
        self._settings = settings
        self._retriever = retriever
        self._scanner = scanner
        self._llm = llm
        self._profile = profile
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = ForkLock()

    @checked(
        question=TEXT,
        text=TEXT,
        max_tokens=COUNT,
        mode=SOME_NAME,
        scoring=SOME_NAME,
        settings=SETTINGS,
    )
    def compress(
        self,
        question: str,
        text: str,
        max_tokens: int,
        *,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
        token_scores: bool = False,
    ) -> CompressedContext:
        """Cut one long text down to what ``question`` needs; no index on disk is made or used.

        This is the published setting. The codes of the last few texts are kept in memory, so
        further questions on the same text do not read it again. A text that fits the budget
        comes back whole, unread.

        Args:
            question: plain text.
            text: the context.
            max_tokens: budget of the result in the model's tokens, separators included.
            mode: as of ``retrieve``.
            scoring: as of ``retrieve``.
            settings: every stage's settings. Default: the engine's, and the text's first and last
                tokens (:func:`with_edges`).
            token_scores: as of ``retrieve``.

        Raises:
            InputError: the question or the text is empty, or ``max_tokens`` is below 1.
        """
        used = settings or with_edges(self._settings(), max_tokens)
        check_asked(question, mode, scoring, self._llm.window)
        document = Document("context", text)
        if reason := problem_of(document):
            raise InputError(f"the text to compress: {reason}")
        count = self._llm.count_tokens
        if (whole := count(text)) <= max_tokens:  # nothing to be read for
            span = Span("context", 0, len(text), text, score=1.0, scores={}, rank=0)
            return CompressedContext(text, (span,), whole)
        view = self._view_of(document)
        spans = self._retriever.retrieve(
            view,
            view.search,
            question,
            max_tokens=max_tokens,
            mode=mode,
            scoring=scoring,
            settings=used,
            token_scores=token_scores,
        )
        while True:  # what stands between spans costs tokens too: the worst makes room for it
            in_order = sorted(spans, key=lambda s: s.start)
            joined = _joined(text, in_order)
            if (n := count(joined)) <= max_tokens or not spans:
                return CompressedContext(joined, tuple(in_order), n)
            spans = spans[:-1]

    def _view_of(self, document: Document) -> View:
        """The document's codes; two threads with the same text read it once, others do not wait."""
        key = text_hash(document.text)
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            if kept.view is None:
                index = Index(None, self._profile.card)
                with index.writing():
                    index.commit(list(self._scanner.scan([document])))
                kept.view = index.view
            return kept.view


@dataclass
class _Kept:
    """A text's codes, once it has been read."""

    lock: ForkLock = field(default_factory=ForkLock)
    view: View | None = None


def _joined(text: str, spans: Sequence[Span]) -> str:
    """Spans of ``text`` in order, with dots where more than white space is left out."""
    parts = []
    for n, span in enumerate(spans):
        if n:
            between = text[spans[n - 1].end : span.start]
            parts.append("\n...\n" if between.strip() else between)
        parts.append(span.text)
    return "".join(parts)
