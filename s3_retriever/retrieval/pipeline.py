"""From a question to spans: the legs in order, fused, under a budget."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, get_args

from pydantic import InstanceOf, TypeAdapter

from s3_retriever.arguments import FILTER, SETTINGS, SOME_COUNT, SOME_NAME, TEXT, checked
from s3_retriever.errors import InputError
from s3_retriever.forking import ForkLock
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.pages import span_metadata
from s3_retriever.profiles.profile import Profile
from s3_retriever.quoting import quoted
from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.fusion import FusedSpan, fill_budget
from s3_retriever.retrieval.legs.registry import leg_named
from s3_retriever.retrieval.memory import Memories
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import (
    ProjectedQuestion,
    check_question,
    project_question,
    question_ids,
)
from s3_retriever.retrieval.scoring.base import TokenScorer
from s3_retriever.retrieval.spans import rows_touching
from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.filters import Filter, compile_filter
from s3_retriever.settings import RetrieveSettings, Scoring
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import Span, SpanRef, TokenScore

if TYPE_CHECKING:  # a search for words alone has no torch
    from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes

__all__ = ["Retriever", "check_asked"]

_CACHE: TypeAdapter[Any] = TypeAdapter(InstanceOf[QueryCache] | None)


def check_asked(question: str, mode: str | None, scoring: Scoring | None, window: int) -> None:
    """Refuse what no index can answer, before anything is read.

    Args:
        question: plain text.
        mode: a preset's name.
        scoring: how features score.
        window: of the model, in tokens.

    Raises:
        InputError: an empty question, an unknown mode or scoring.
    """
    check_question(question, window)
    if mode is not None:
        preset_named(mode)
    if scoring is not None and scoring not in get_args(Scoring):
        raise InputError(f"scoring must be one of {get_args(Scoring)}, not {quoted(scoring)}")


class Retriever:
    """Answers questions from codes with the model that made them."""

    def __init__(self, llm: LanguageModel, profile: Profile) -> None:
        """Both must belong together (:meth:`Profile.check_llm`)."""
        self._llm = llm
        self._profile = profile
        self._null_lanes: dict[str, QuestionLanes] = {}
        self._null_lock = ForkLock()
        self._memories = Memories()

    @property
    def default_mode(self) -> str:
        """What the profile recommends on the model's device; ``hybrid`` where it says nothing."""
        device = str(self._llm.describe()["device"]).partition(":")[0]
        return self._profile.card.presets.get(device, "hybrid")

    @checked(
        question=TEXT,
        max_tokens=SOME_COUNT,
        k=SOME_COUNT,
        filter=FILTER,
        mode=SOME_NAME,
        scoring=SOME_NAME,
        settings=SETTINGS,
        query_cache=_CACHE,
    )
    def retrieve(
        self,
        store: CodeStore,
        search: CandidateSearch,
        question: str,
        *,
        max_tokens: int | None = None,
        k: int | None = None,
        filter: Filter | None = None,
        mode: str | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings,
        token_scores: bool = False,
        query_cache: QueryCache | None = None,
    ) -> list[Span]:
        """Spans for ``question``, best first; the arguments are those of ``Engine.retrieve``.

        Args:
            store: the codes and texts of one state of an index.
            search: its search part.
            question: plain text.
            max_tokens: budget in the model's tokens; ``None`` is no limit.
            k: most spans; ``None`` is no limit.
            filter: condition on documents' metadata.
            mode: a preset's name; by default :attr:`default_mode`.
            scoring: by default the profile's better one.
            settings: of every stage.
            token_scores: put the score of each token into ``Span.tokens``.
            query_cache: of questions that were read together before.

        Raises:
            InputError: an empty question, a budget below 1, an unknown mode or filter operator.
            ProfileError: attention scoring with a profile without heads.
        """
        context = self.find(
            store,
            search,
            question,
            filter=filter,
            mode=mode,
            scoring=scoring,
            settings=settings,
            query_cache=query_cache,
        )
        count = self._llm.count_tokens
        chosen = fill_budget(store, context.ranked(), max_tokens, k, count, context.memory)
        return [
            _span(context, item, rank, with_tokens=token_scores) for rank, item in enumerate(chosen)
        ]

    def find(
        self,
        store: CodeStore,
        search: CandidateSearch,
        question: str,
        *,
        filter: Filter | None = None,
        mode: str | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings,
        query_cache: QueryCache | None = None,
    ) -> LegContext:
        """What each leg proposes, before the budget; arguments and errors of :meth:`retrieve`."""
        check_asked(question, mode, scoring, self._llm.window)
        preset = preset_named(mode or self.default_mode)
        context = LegContext(
            question,
            store=store,
            search=search,
            llm=self._llm,
            make_scorer=lambda: self.scorer(store, question, scoring, settings, query_cache),
            weights=preset.weights(settings),
            look_up_words=preset.look_up_words,
            settings=settings,
            filter=filter,
            memory=self._memories.of(store),
        )
        if store.n_documents:
            for leg in context.weights:
                context.add(leg, leg_named(leg).propose(context))
            return context
        if filter is not None:  # what is wrong is wrong in an empty index, too
            compile_filter(filter)
        if "features" in context.weights:
            question_ids(self._llm, self._profile.card, question)
        return context

    def scorer(
        self,
        store: CodeStore,
        question: str,
        scoring: Scoring | None,
        settings: RetrieveSettings,
        query_cache: QueryCache | None = None,
    ) -> TokenScorer:
        """What scores the tokens of ``store`` for a question.

        Raises:
            InputError: an empty or too long question.
            ProfileError: attention scoring with a profile without heads.
        """
        asked = project_question(self._llm, self._profile.card, question, cache=query_cache)
        if scoring is None:
            scoring = "attention" if self._profile.card.heads else "coactivation"
        if scoring == "attention":
            return self.attention_scorer(asked, settings.scoring.null_question)
        from s3_retriever.retrieval.scoring.coactivation import CoactivationScorer

        layout = self._llm.layout
        return CoactivationScorer(
            self._profile, layout, asked, settings.scoring, store.df, store.n_tokens
        )

    def attention_scorer(
        self, asked: ProjectedQuestion, null_question: str | None
    ) -> AttentionScorer:
        """Attention scoring of a question, less that of a content-free one.

        Raises:
            ProfileError: the profile has no heads.
        """
        from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes

        lanes = QuestionLanes(self._profile, self._llm.layout, asked)
        null = self._null(null_question) if null_question is not None else None
        return AttentionScorer(self._profile, lanes, null)

    def prepare(self, settings: RetrieveSettings, query_cache: QueryCache) -> None:
        """Make what all questions share of queries that were read elsewhere.

        Args:
            settings: of the questions.
            query_cache: of the content-free question, on the device of those to come.
        """
        null = settings.scoring.null_question
        if self._profile.card.heads and null is not None:
            with self._null_lock:
                self._null_lanes[null] = self._lanes(null, query_cache)

    def _null(self, text: str) -> QuestionLanes:
        """The content-free question with its tables, made once, whoever asks first."""
        with self._null_lock:
            if text not in self._null_lanes:
                self._null_lanes[text] = self._lanes(text)
            return self._null_lanes[text]

    def _lanes(self, text: str, cache: QueryCache | None = None) -> QuestionLanes:
        from s3_retriever.retrieval.scoring.attention import QuestionLanes

        projected = project_question(self._llm, self._profile.card, text, cache=cache)
        lanes = QuestionLanes(self._profile, self._llm.layout, projected)
        _ = lanes.tables  # now, not by each of several threads
        return lanes


def _span(context: LegContext, item: FusedSpan, rank: int, *, with_tokens: bool) -> Span:
    store, ref = context.store, item.ref
    return Span(
        doc_id=ref.doc_id,
        start=ref.start,
        end=ref.end,
        text=store.text(ref),
        score=item.score,
        scores=dict(item.scores),
        rank=rank,
        metadata=deepcopy(span_metadata(store.metadata(ref.doc_id), ref.start, ref.end)),
        tokens=_tokens(context, ref) if with_tokens else (),
    )


def _tokens(context: LegContext, ref: SpanRef) -> tuple[TokenScore, ...]:
    """Scores of a span's tokens; tokens that were no candidates have none."""
    batch, scores = context.batch, context.scores
    return tuple(
        TokenScore(int(batch.starts[n]), int(batch.ends[n]), float(scores[n]))
        for n in rows_touching(batch, ref)
    )
