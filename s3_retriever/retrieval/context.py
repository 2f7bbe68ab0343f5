"""What a leg may ask of: a question, an index's state, and what the legs before it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from s3_retriever.models.base import LikelihoodJudge
from s3_retriever.retrieval.candidates import find_candidates
from s3_retriever.retrieval.exactness import Exactness, lifted
from s3_retriever.retrieval.fusion import FusedSpan, SpanUnion, highest_score
from s3_retriever.retrieval.headings import Headings
from s3_retriever.retrieval.lazy import lazy
from s3_retriever.retrieval.memory import Memory
from s3_retriever.retrieval.passages import Passage, passage_around
from s3_retriever.retrieval.scoring.base import TokenScorer, score_tokens
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.retrieval.words import Words
from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.filters import Filter
from s3_retriever.settings import RetrieveSettings
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef, TextBounds, TokenBatch, TokenRange

__all__ = ["LegContext", "ParagraphRef"]

ParagraphRef = tuple[str, int]
"""A document, and the number of one of its paragraphs."""


class LegContext:
    """One question on one state of an index. What costs time is made when it is first asked for."""

    def __init__(
        self,
        question: str,
        *,
        store: CodeStore,
        search: CandidateSearch,
        llm: LikelihoodJudge,
        make_scorer: Callable[[], TokenScorer],
        weights: Mapping[str, float],
        look_up_words: bool,
        settings: RetrieveSettings,
        filter: Filter | None,
        memory: Memory | None = None,
    ) -> None:
        """Put together what is there.

        Args:
            question: plain text.
            store: codes and texts.
            search: looks blocks up.
            llm: judges likelihood.
            make_scorer: projects the question; called if features are asked for.
            weights: of the legs that are asked.
            look_up_words: whether blocks with the question's words are candidates.
            settings: of every stage.
            filter: only documents whose metadata pass.
            memory: what questions before this one worked out of the store.
        """
        self.question = question
        self.store = store
        self.search = search
        self.llm = llm
        self.settings = settings
        self.filter = filter
        self.memory = Memory() if memory is None else memory
        self.weights = weights
        self.found: dict[str, Sequence[ScoredSpan]] = {}
        """What each leg proposed so far, best first."""
        self._make_scorer = make_scorer
        self._look_up_words = look_up_words
        self._asked: dict[str, list[str]] = {}
        self._bounds: dict[str, TextBounds] = {}
        self._union = SpanUnion(store)
        self._ranked: list[FusedSpan] | None = None

    def add(self, leg: str, spans: Sequence[ScoredSpan]) -> None:
        """Take what a leg proposes."""
        self.found[leg] = spans
        self._union.add(leg, spans)
        self._ranked = None

    @property
    def union(self) -> SpanUnion:
        """What the legs found so far, those that overlap as one."""
        return self._union

    def ranked(self) -> list[FusedSpan]:
        """The union of what the legs found so far, best first."""
        if self._ranked is None:
            share = self.settings.fusion.paragraph_weight
            self._ranked = self._union.ranked(self.weights, share)
            if len(self.weights) > 1:  # words alone need no lift
                highest = highest_score(self.weights, share)
                self._ranked = lifted(self._ranked, self._exactness_of, highest)
        return self._ranked

    def _exactness_of(self, item: FusedSpan) -> float:
        """How much of the question a span holds, as far as the words' leg found it."""
        return self.exactness.of(self.words.counts(item.ref)) if "bm25" in item.scores else 0.0

    @lazy
    def exactness(self) -> Exactness:
        """How much of the question a text holds."""
        return Exactness(self.words, self.question_words)

    @lazy
    def question_words(self) -> list[str]:
        """The question's words, as they are indexed, repeated ones included."""
        return self.search.words(self.question)

    def question_words_of(self, doc_id: str) -> list[str]:
        """The question's words as a document holds them, repeated ones included."""
        language = self.words.language(doc_id)
        if language not in self._asked:
            self._asked[language] = self.words.of(self.question, doc_id)
        return self._asked[language]

    @lazy
    def words(self) -> Words:
        """Words of texts and how rare they are."""
        return Words(self.store, self.search, self.memory)

    @lazy
    def headings(self) -> Headings:
        """What stands above paragraphs."""
        return Headings(self.store, self.memory)

    @lazy
    def scorer(self) -> TokenScorer | None:
        """Scores tokens for the question; ``None`` where no leg of the preset is about features."""
        return self._make_scorer() if "features" in self.weights else None

    @lazy
    def candidates(self) -> list[TokenRange]:
        """What is scored exactly."""
        return find_candidates(
            self.store,
            self.search,
            self.question_words,
            self.scorer,
            self.settings.candidates,
            self.filter,
            look_up_words=self._look_up_words,
        )

    @lazy
    def batch(self) -> TokenBatch:
        """The candidates' codes."""
        return self.store.tokens(self.candidates)

    @lazy
    def scores(self) -> np.ndarray:
        """``(n_tokens of the batch,)`` float32; zeros without a scorer."""
        if self.scorer is None:
            return np.zeros(sum(map(len, self.candidates)), dtype=np.float32)
        return score_tokens(self.scorer, [self.batch])

    def sentences(self, ranges: Sequence[TokenRange]) -> list[SpanRef]:
        """The sentences that ranges of tokens touch; one that two ranges touch comes twice."""
        return [
            SpanRef(ref.doc_id, start, end)
            for ref in self.store.characters(ranges)
            for start, end in self.bounds(ref.doc_id).sentences_over(ref.start, ref.end)
        ]

    @lazy
    def candidate_sentences(self) -> list[SpanRef]:
        """The sentences that the candidates touch."""
        return self.sentences(self.candidates)

    def passage(self, ref: SpanRef) -> Passage:
        """Whole sentences around a range, as many as are read together."""
        most = self.settings.spans.passage_tokens
        return passage_around(self.store, ref, most, self.memory)

    def paragraph_of(self, ref: SpanRef) -> ParagraphRef:
        """The paragraph in which a span begins."""
        return ref.doc_id, self.bounds(ref.doc_id).paragraph_of(ref.start)

    def bounds(self, doc_id: str) -> TextBounds:
        """Where a document's sentences and paragraphs stand; looked up once for a question."""
        if doc_id not in self._bounds:
            self._bounds[doc_id] = self.store.bounds(doc_id)
        return self._bounds[doc_id]
