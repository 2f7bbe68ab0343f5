"""How much evidence each method finds at the same token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from s3_retriever.engine import Engine
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.metrics import (
    all_evidence,
    answer_recall,
    evidence_recall,
    graded,
    overlap,
    passage_recall,
    require_ir_measures,
)
from s3_retriever_bench.methods import METHODS, Method, MethodUnavailable
from s3_retriever_bench.sharing import stopwatch
from s3_retriever_bench.summary import PASSAGES, Key, Measured, summarise

__all__ = ["evaluate_retrieval"]


def evaluate_retrieval(
    engine: Engine,
    collections: Sequence[Collection],
    *,
    methods: Sequence[str],
    budgets: Sequence[int],
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Run methods on collections: each reads a collection once and ranks for all its questions.

    Args:
        engine: its model reads the documents and counts the tokens; its index is not touched.
        collections: documents and questions.
        methods: names of :data:`~s3_retriever_bench.methods.METHODS`.
        budgets: in tokens; each is filled from the same ranking.
        seed: of the bootstrap.
        on_progress: called with the rankings done and the number there will be.

    Returns:
        ``n`` questions, ``budgets``, ``methods`` and ``comparisons``, as
        :func:`~s3_retriever_bench.summary.summarise` describes them.

    Raises:
        InputError: documents are graded and ir-measures is missing.
    """
    if any(question.grades for c in collections for question in c.questions):
        require_ir_measures()
    runs = {name: [_Run(engine, make) for make in METHODS[name]] for name in methods}
    n_questions = sum(len(c.questions) for c in collections)
    every = [run for variants in runs.values() for run in variants]
    done = 0
    for collection in collections:
        filler = BudgetFiller(collection, engine.llm.count_tokens)
        for run in every:
            run.measure(collection, filler, budgets)
            done += len(collection.questions)
            on_progress(done, n_questions * len(every))
    measured = {name: [run.measured for run in variants] for name, variants in runs.items()}
    return {
        "n": n_questions,
        "budgets": list(budgets),
        **summarise(measured, budgets, seed=seed),
    }


class _Run:
    """One variant of a method and what is measured of it."""

    def __init__(self, engine: Engine, make: Callable[[Engine], Method]) -> None:
        self.measured = Measured()
        self._method: Method | None = None
        try:
            self._method = make(engine)
            self.measured.note = self._method.note
        except MethodUnavailable as e:
            self.measured.skipped = str(e)

    def measure(self, collection: Collection, filler: BudgetFiller, budgets: Sequence[int]) -> None:
        """Read the collection and ask all its questions; a method that cannot is dropped."""
        if self._method is None:
            return
        try:
            with stopwatch() as reading:
                self._method.read(collection)
            self.measured.index_seconds += reading.seconds
            for question in collection.questions:
                with stopwatch() as ranking_it:
                    ranking = self._method.rank(question.text)
                found = _scores(collection, question, ranking, filler, budgets)
                self.measured.add(found | {("ms", ""): 1000 * ranking_it.seconds})
            self.measured.note = self._method.note
        except MethodUnavailable as e:  # figures of some questions would compare with nothing
            self.measured = Measured(note=self._method.note, skipped=str(e))
            self._method = None


def _scores(
    collection: Collection,
    question: Question,
    ranking: Sequence[Place],
    filler: BudgetFiller,
    budgets: Sequence[int],
) -> dict[Key, float | None]:
    """Every metric of one ranking."""
    found: dict[Key, float | None] = {}
    for budget in budgets:
        places = filler.fill(ranking, budget)
        found["evidence_recall", str(budget)] = evidence_recall(question, places)
        found["all_evidence", str(budget)] = all_evidence(question, places)
        found |= {(name, str(budget)): share for name, share in overlap(question, places).items()}
        text = collection.text_of(places)
        found["answer_recall", str(budget)] = answer_recall(question, text)
        found["tokens_used", str(budget)] = sum(map(filler.cost, places))
    for k in PASSAGES:
        found["passage_recall", str(k)] = passage_recall(collection, question, ranking, k)
    return found | {(metric, ""): value for metric, value in graded(question, ranking).items()}
