"""What an index proposes for a question before anything is ranked."""

from __future__ import annotations

from s3_retriever.engine import Engine
from s3_retriever.retrieval.candidates import Run, find_candidates
from s3_retriever.retrieval.query import ProjectedQuestion, project_question
from s3_retriever.retrieval.scoring import AttentionScorer
from s3_retriever.settings import Mode

__all__ = ["proposals"]


def proposals(
    engine: Engine, question: str, mode: Mode, null_question: ProjectedQuestion | None = None
) -> tuple[AttentionScorer, list[Run]]:
    """The candidates of a mode, and the scorer that attention scoring would give them to.

    Args:
        engine: its index and settings.
        question: plain text.
        mode: which legs propose.
        null_question: for the scorer.

    Raises:
        ProfileError: the profile has no heads.
    """
    projected = project_question(engine.llm, engine.profile, question)
    scorer = AttentionScorer(engine.profile, engine.llm.layout, projected, null_question)
    settings = engine.retrieve_settings.candidates
    runs = find_candidates(
        engine.index.snapshot,
        engine.index.candidates,
        question,
        scorer,
        settings,
        None,
        mode,
    )
    return scorer, runs
