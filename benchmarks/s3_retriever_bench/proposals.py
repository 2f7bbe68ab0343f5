"""What an index proposes for a question before anything is ranked."""

from __future__ import annotations

from s3_retriever.engine import Engine
from s3_retriever.retrieval.candidates import find_candidates
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.attention import AttentionScorer
from s3_retriever.settings import Mode
from s3_retriever.storage.base import IndexView
from s3_retriever.types import TokenRange

__all__ = ["Proposer"]


class Proposer:
    """Asks for the candidates of questions, with the scorer that they would be given to."""

    def __init__(self, engine: Engine, mode: Mode) -> None:
        """Take a model, a profile and settings; the index of a question is named with it.

        Args:
            engine: of the model, the profile and the settings.
            mode: a preset; whether it looks up words decides what is proposed.
        """
        self._llm = engine.llm
        self._card = engine.profile.card
        self._settings = engine.retrieve_settings
        self._look_up_words = preset_named(mode).look_up_words
        self._retriever = Retriever(engine.llm, engine.profile)  # reads the null question once

    def __call__(self, view: IndexView, question: str) -> tuple[AttentionScorer, list[TokenRange]]:
        """The scorer of a question, and the ranges of tokens that it would score.

        Args:
            view: one state of an index.
            question: plain text.

        Raises:
            ProfileError: the profile has no heads.
        """
        asked = project_question(self._llm, self._card, question)
        scorer = self._retriever.attention_scorer(asked, self._settings.scoring.null_question)
        ranges = find_candidates(
            view,
            view.search,
            view.search.words(question),
            scorer,
            self._settings.candidates,
            None,
            look_up_words=self._look_up_words,
        )
        return scorer, ranges
