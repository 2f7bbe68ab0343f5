"""From a question to spans: the stages in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import get_args

import numpy as np

from s3_retriever.config import FusionSettings, Mode, RetrieveSettings, Scoring
from s3_retriever.errors import InputError
from s3_retriever.generator.generator import Generator
from s3_retriever.index.candidates import CandidateIndex
from s3_retriever.index.filters import Filter, compile_filter
from s3_retriever.index.store import Snapshot, View
from s3_retriever.profile import Profile
from s3_retriever.retrieve.candidates import Run, codes_of, find_candidates, runs_of
from s3_retriever.retrieve.feedback import new_words, pieces_from_feedback
from s3_retriever.retrieve.fusion import FusedPiece, fill_budget, fuse, lead_and_tail
from s3_retriever.retrieve.passages import find_passages, pieces_from_passages
from s3_retriever.retrieve.question import ProjectedQuestion, project_question
from s3_retriever.retrieve.rerank import pieces_from_likelihood, within_window
from s3_retriever.retrieve.scoring import AttentionScorer, CoactivationScorer, Scorer
from s3_retriever.retrieve.spans import Piece, pieces_from_scores
from s3_retriever.retrieve.words import pieces_from_words
from s3_retriever.types import Span, TokenScore

__all__ = ["Found", "Retriever"]


@dataclass(frozen=True)
class Found:
    """What each leg proposes for a question."""

    legs: Mapping[str, Sequence[Piece]]
    """Pieces by leg, best first."""
    runs: Sequence[Run]
    """The scored tokens."""
    scores: np.ndarray
    """``(n_tokens of all runs,)`` float32."""


class Retriever:
    """Answers questions from an index with the model that wrote it."""

    def __init__(self, generator: Generator, profile: Profile) -> None:
        """Both must belong together (:meth:`Profile.check_generator`)."""
        self._generator = generator
        self._profile = profile
        self._null_questions: dict[str, ProjectedQuestion] = {}

    def retrieve(
        self,
        index: View,
        question: str,
        *,
        max_tokens: int | None,
        k: int | None,
        filter: Filter | None,
        mode: Mode,
        scoring: Scoring | None,
        settings: RetrieveSettings,
        token_scores: bool,
    ) -> list[Span]:
        """Spans for ``question``, best first; the arguments are those of ``Engine.retrieve``.

        Raises:
            InputError: an empty question, a budget below 1, an unknown mode or filter operator.
            ProfileError: attention scoring with a profile without heads.
        """
        _check(max_tokens, k, mode, scoring)
        found = self.find(
            index, question, filter=filter, mode=mode, scoring=scoring, settings=settings
        )
        fused = fuse(found.legs, settings.fusion)
        chosen = fill_budget(fused, max_tokens, k, self._generator.count_tokens)
        tokens = _token_scores(found.runs, found.scores) if token_scores else _no_tokens
        return [_span(item, rank, tokens) for rank, item in enumerate(chosen)]

    def find(
        self,
        index: View,
        question: str,
        *,
        filter: Filter | None,
        mode: Mode,
        scoring: Scoring | None,
        settings: RetrieveSettings,
    ) -> Found:
        """What each leg proposes, before the last fusion; arguments and errors of `retrieve`."""
        snapshot = index.snapshot
        documents = None if filter is None else snapshot.matching(compile_filter(filter))
        # even the words leg reads the question: empty or too long is an error in every mode
        projected = project_question(self._generator, self._profile, question)
        if not snapshot.live:
            return Found({}, [], np.zeros(0, dtype=np.float32))
        wanted = _legs(mode, settings.fusion)
        scorer = (
            self._scorer(projected, scoring, settings, snapshot) if "features" in wanted else None
        )
        runs = find_candidates(
            snapshot,
            index.candidates,
            question,
            scorer,
            settings.candidates,
            documents,
            mode,
        )
        scores = _score(scorer, runs)
        legs: dict[str, list[Piece]] = {}
        if scorer:
            legs["features"] = pieces_from_scores(runs, scores, settings.density, settings.spans)
        if "bm25" in wanted:
            legs["bm25"] = pieces_from_words(
                index.candidates, question, runs, settings.fusion.bm25_spans
            )
        if mode in ("hybrid", "fast"):
            first = next((pieces for pieces in legs.values() if pieces), [])
            legs["lead_tail"] = lead_and_tail(first, settings.fusion)
        if "feedback" in wanted:
            fused = fuse(legs, settings.fusion)
            legs["feedback"] = self._feedback(
                snapshot, index.candidates, question, fused, runs, documents, settings
            )
        longest = settings.spans.passage_tokens
        if "passages" in wanted:
            passages = list(find_passages(fuse(legs, settings.fusion), longest))
            legs["passages"] = pieces_from_passages(passages, runs, scores)
        if "likelihood" in wanted:
            n_asked = self._generator.count_tokens(question)
            surroundings = find_passages(fuse(legs, settings.fusion), longest)
            read = within_window(surroundings, n_asked, settings.rerank)
            legs["likelihood"] = pieces_from_likelihood(self._generator, question, read)
        return Found(legs, runs, scores)

    @staticmethod
    def _feedback(
        snapshot: Snapshot,
        candidates: CandidateIndex,
        question: str,
        fused: Sequence[FusedPiece],
        runs: Sequence[Run],
        documents: Mapping[str, Sequence[int]] | None,
        settings: RetrieveSettings,
    ) -> list[Piece]:
        """What the best pieces lead to, among the candidates and what their words propose."""
        best = fused[: settings.feedback.evidence]
        evidence = [
            (item, new_words(candidates, question, item.piece, settings.feedback)) for item in best
        ]
        words = [word for _, weights in evidence for word in weights]
        hits = candidates.search_words(words, settings.feedback.blocks, documents)
        proposed = runs_of(snapshot, (hit.block for hit in hits))
        return pieces_from_feedback(
            candidates, evidence, [*runs, *proposed], settings.feedback.spans
        )

    def _scorer(
        self,
        question: ProjectedQuestion,
        scoring: Scoring | None,
        settings: RetrieveSettings,
        snapshot: Snapshot,
    ) -> Scorer:
        layout = self._generator.layout
        if scoring is None:
            scoring = "attention" if self._profile.card.heads else "coactivation"
        if scoring == "attention":
            null = settings.scoring.null_question
            return AttentionScorer(
                self._profile,
                layout,
                question,
                self._null_question(null) if null is not None else None,
            )
        return CoactivationScorer(
            self._profile, layout, question, settings.scoring, snapshot.df, snapshot.n_tokens
        )

    def _null_question(self, text: str) -> ProjectedQuestion:
        """The content-free question, projected once."""
        if text not in self._null_questions:
            self._null_questions[text] = project_question(self._generator, self._profile, text)
        return self._null_questions[text]


def _legs(mode: Mode, fusion: FusionSettings) -> set[str]:
    """What finds spans in this mode, less what weighs nothing."""
    if mode in ("features", "bm25"):
        return {mode}
    weights = {
        "features": fusion.features_weight,
        "bm25": fusion.bm25_weight,
        "feedback": fusion.feedback_weight,
        "passages": fusion.passages_weight if fusion.features_weight else 0,
    }
    if mode == "hybrid":
        weights["likelihood"] = fusion.likelihood_weight
    return {leg for leg, weight in weights.items() if weight}


TokenLookup = Callable[[Piece], tuple[TokenScore, ...]]


def _score(scorer: Scorer | None, runs: Sequence[Run]) -> np.ndarray:
    if scorer is None or not runs:
        return np.zeros(sum(len(run) for run in runs), dtype=np.float32)
    return scorer.score(*codes_of(runs))


def _token_scores(runs: Sequence[Run], scores: np.ndarray) -> TokenLookup:
    """Look up the scores of a piece's tokens; tokens that were no candidates have none."""
    ends = np.cumsum([len(run) for run in runs])

    def tokens(piece: Piece) -> tuple[TokenScore, ...]:
        found = []
        for run, end in zip(runs, ends, strict=True):
            if run.entry is not piece.entry:
                continue
            values = scores[end - len(run) : end]
            rows = slice(*run.rows)
            for start, stop, value in zip(
                run.segment.starts[rows], run.segment.ends[rows], values, strict=True
            ):
                if piece.start < stop and start < piece.end:
                    found.append(TokenScore(int(start), int(stop), float(value)))
        return tuple(found)

    return tokens


def _no_tokens(piece: Piece) -> tuple[TokenScore, ...]:
    return ()


def _span(item: FusedPiece, rank: int, tokens: TokenLookup) -> Span:
    piece = item.piece
    return Span(
        doc_id=piece.entry.id,
        start=piece.start,
        end=piece.end,
        text=piece.text,
        score=item.score,
        scores=dict(item.scores),
        rank=rank,
        metadata=deepcopy(piece.entry.metadata),
        tokens=tokens(piece),
    )


def _check(max_tokens: int | None, k: int | None, mode: str, scoring: str | None) -> None:
    for name, value in (("max_tokens", max_tokens), ("k", k)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if mode not in get_args(Mode):
        raise InputError(f"mode must be one of {get_args(Mode)}, not {mode!r}")
    if scoring is not None and scoring not in get_args(Scoring):
        raise InputError(f"scoring must be one of {get_args(Scoring)}, not {scoring!r}")
