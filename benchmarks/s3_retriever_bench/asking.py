"""Clients that ask one question after the other: processes, as those of real users are.

Each has its own connections and caches, and computes on one thread. What a question asks is read
by the model before any clock runs; a client needs no model.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast

import torch

from s3_retriever.models.base import LanguageModel, LikelihoodJudge
from s3_retriever.models.families import AttentionLayout
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.legs.registry import leg_named
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import ProjectedQuestion, project_question
from s3_retriever.retrieval.scoring.attention import AttentionScorer, QuestionLanes
from s3_retriever.settings import RetrieveSettings
from s3_retriever.storage.base import DocumentStore
from s3_retriever.storage.stores import open_documents

__all__ = ["Answer", "Client", "Questions", "clients"]

_SPANS = 10
"""That are given back, with their texts and metadata."""


@dataclass(frozen=True)
class Questions:
    """What a client needs to ask questions that the model has read."""

    profile: str
    """Name or folder."""
    layout: AttentionLayout
    asked: tuple[ProjectedQuestion, ...]
    null: ProjectedQuestion
    """Without content."""

    @classmethod
    def read(
        cls, llm: LanguageModel, profile: Profile, profile_at: str, texts: Sequence[str]
    ) -> Questions:
        """Read questions with the model.

        Args:
            llm: the resident model.
            profile: with heads.
            profile_at: the name or folder it can be loaded from.
            texts: of the questions.
        """
        null = RetrieveSettings().scoring.null_question or ""
        asked = tuple(project_question(llm, profile.card, text) for text in texts)
        return cls(profile_at, llm.layout, asked, project_question(llm, profile.card, null))


@dataclass(frozen=True)
class Answer:
    """How long a question took, in milliseconds."""

    search: float
    """Until the tokens of its candidates had their exact scores."""
    fast: float
    """Until the best spans of mode ``fast`` were there with their texts."""


class Client:
    """A process that asks, as its parent sees it."""

    def __init__(self, connection: Connection) -> None:
        """Use :func:`clients`."""
        self._connection = connection

    def begin(self, location: str, numbers: Sequence[int]) -> None:
        """Let it ask questions of an index, by path or URL with password; it stays open there."""
        self._connection.send((location, list(numbers)))

    def answers(self) -> list[Answer]:
        """What :meth:`begin` led to.

        Raises:
            EOFError: the process died; it has said why on its standard error.
        """
        found: list[Answer] = self._connection.recv()
        return found


@contextmanager
def clients(questions: Questions, n: int) -> Iterator[list[Client]]:
    """Start ``n`` clients; they end with the block."""
    context = multiprocessing.get_context("spawn")
    found, processes = [], []
    try:
        for _ in range(n):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, questions), daemon=True)
            process.start()
            there.close()
            processes.append(process)
            found.append(Client(here))
        yield found
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _serve(connection: Connection, questions: Questions) -> None:
    torch.set_num_threads(1)
    asker = Asker(questions)
    while True:
        try:
            location, numbers = connection.recv()
        except EOFError:  # the parent has ended
            return
        connection.send([asker.ask(location, number) for number in numbers])


class Asker:
    """Asks questions of indexes and looks at the clock."""

    def __init__(self, questions: Questions) -> None:
        """Load the profile; no index is open yet."""
        self._questions = questions
        self._profile = Profile.load(questions.profile)
        self._null = self._lanes(questions.null)
        _ = self._null.tables
        self._open: dict[str, DocumentStore] = {}

    def _lanes(self, asked: ProjectedQuestion) -> QuestionLanes:
        return QuestionLanes(self._profile, self._questions.layout, asked)

    def ask(self, location: str, number: int) -> Answer:
        """Ask one question, by its number, of the newest state of an index."""
        if location not in self._open:
            self._open[location] = open_documents(location, self._profile.card)
        store = self._open[location]
        asked = self._questions.asked[number]
        settings, preset = RetrieveSettings(), preset_named("fast")
        started = time.perf_counter()
        view = store.view
        context = LegContext(
            asked.text,
            store=view,
            search=view.search,
            llm=cast(LikelihoodJudge, None),  # none of the preset's legs asks it
            make_scorer=lambda: AttentionScorer(self._profile, self._lanes(asked), self._null),
            weights=preset.weights(settings),
            look_up_words=preset.look_up_words,
            settings=settings,
            filter=None,
        )
        _ = context.scores
        searched = time.perf_counter()
        for leg in context.weights:
            context.add(leg, leg_named(leg).propose(context))
        for span in context.ranked()[:_SPANS]:
            view.text(span.ref)
            view.metadata(span.ref.doc_id)
        ended = time.perf_counter()
        return Answer(1000 * (searched - started), 1000 * (ended - started))
