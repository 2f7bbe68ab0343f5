"""Explanations are of the scorer, the settings and the state of the index that were asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s3_retriever import Document, Engine, RetrieveSettings
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.reading import DocumentReader
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import QueryAdapter
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.base import score_tokens
from s3_retriever.settings import CandidateSettings, ScoringSettings
from s3_retriever.storage.documents import Documents
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "When was the lighthouse finished?"
WAIT = 60
"""Seconds after which a thread that waits for another has waited in vain."""


def make_engine(folder: Path, adapter: QueryAdapter | None = None) -> Engine:
    llm = tiny_llm()
    folder.mkdir(exist_ok=True)
    profile = Profile.load(write_profile(folder, llm, heads=((1, 4), (1, 0), (1, 3))))
    engine = Engine(llm, replace(profile, adapter=adapter))
    engine.add([Document(f"d{n}", line) for n, line in enumerate(TEXT.splitlines())])
    return engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path / "plain")


@pytest.fixture
def adapted(tmp_path: Path) -> Engine:
    """With a query adapter that is no identity."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"down": (3, 10, 2), "up": (3, 2, 10), "bias": (3, 10)}
    adapter = QueryAdapter(
        **{name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    )
    return make_engine(tmp_path / "adapted", adapter)


def test_explanations_use_the_query_adapter(engine: Engine, adapted: Engine) -> None:
    view, card = adapted.index.view, adapted.profile.card
    reading = adapted.read_document(QUESTION, "d0")
    asked = project_question(adapted.llm, card, QUESTION)
    batch = view.tokens([view.whole_document("d0")])
    scores = score_tokens(adapted._retriever.attention_scorer(asked, "N/A"), [batch])
    np.testing.assert_allclose(reading.scores, scores, rtol=1e-6)
    assert not np.allclose(reading.scores, engine.read_document(QUESTION, "d0").scores, atol=0.1)

    # what each head sees alone adds up to what they see together, before the null question's
    alone = score_tokens(adapted._retriever.attention_scorer(asked, None), [batch])
    weight = sum(found.head.weight for found in reading.heads)
    together = sum(found.head.weight * found.shares for found in reading.heads) / weight
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert {found.head for found in reading.heads} == set(card.heads)

    span = adapted.retrieve(QUESTION, k=1)[0]
    why = adapted.explain(QUESTION, span)
    expected = {t.start: t.score for t in why.tokens}
    reading = adapted.read_document(QUESTION, span.doc_id)
    for start, score in zip(reading.starts.tolist(), reading.scores.tolist(), strict=True):
        assert expected.get(start, score) == score


def test_a_reading_without_a_null_question(adapted: Engine) -> None:
    settings = RetrieveSettings(scoring=ScoringSettings(null_question=None))
    with_null = adapted.read_document(QUESTION, "d0").scores
    adapted.retrieve_settings = settings
    without = adapted.read_document(QUESTION, "d0").scores
    assert without.mean() == pytest.approx(1, rel=1e-4)
    assert with_null.mean() == pytest.approx(0, abs=1e-4)


def test_an_explanation_takes_one_view(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread replaces the document and adds others while it is explained."""
    span = engine.retrieve(QUESTION, k=1)[0]
    expected = engine.explain(QUESTION, span)
    views = 0
    view = Documents.view.fget
    assert view is not None

    def counting(self: Documents) -> object:
        nonlocal views
        views += 1
        return view(self)

    read = DocumentReader.read

    def changing(self: DocumentReader, *arguments: object) -> object:
        found = read(self, *arguments)  # type: ignore[arg-type]
        engine.add([Document(span.doc_id, "Another text. " * 99), Document("new", TEXT * 3)])
        return found

    monkeypatch.setattr(Documents, "view", property(counting))
    monkeypatch.setattr(DocumentReader, "read", changing)
    assert engine.explain(QUESTION, span) == expected
    assert views == 1


def test_why_not_says_that_the_engine_abstained(engine: Engine) -> None:
    (found, *_) = engine.retrieve(QUESTION)
    assert engine.why_not(QUESTION, found.doc_id).reason == "It is in the result."
    tight = {"max_tokens": 8, "k": 1}
    (best,) = engine.retrieve(QUESTION, **tight)
    (other,) = {"d0", "d1"} - {best.doc_id}
    plain = engine.why_not(QUESTION, other, **tight)
    engine.abstention = Abstention(threshold=1e9, found=0.0, refused=1.0)
    assert engine.retrieve(QUESTION, **tight) == []
    why = engine.why_not(QUESTION, other, **tight)
    assert "engine.abstention" in why.reason
    assert why.reason.endswith(plain.reason)  # and what it would take besides
    assert (why.rank, why.max_tokens) == (plain.rank, plain.max_tokens)
    assert "is in the result" not in plain.reason
    assert "not in the index" in engine.why_not(QUESTION, "gone").reason


def test_why_not_of_an_engine_that_would_answer(engine: Engine) -> None:
    engine.abstention = Abstention(threshold=-1.0, found=1.0, refused=0.0)
    (found, *_) = engine.retrieve(QUESTION)
    assert engine.why_not(QUESTION, found.doc_id).reason == "It is in the result."


def test_why_not_does_not_blame_abstention_for_what_was_empty_anyway(engine: Engine) -> None:
    engine.abstention = Abstention(threshold=1e9, found=0.0, refused=1.0)
    assert engine.retrieve("zzz qqq", mode="bm25", abstain=False) == []
    why = engine.why_not("zzz qqq", "d0", mode="bm25")
    assert "abstention" not in why.reason
    assert "no word" in why.reason


def test_why_not_uses_the_settings_that_were_used(engine: Engine) -> None:
    """With another number of blocks looked at, the document is lost at another stage."""
    engine.add([Document("mill", "The mill. " * 40)])
    one = RetrieveSettings(candidates=CandidateSettings(cover=0, words=1, features=0))
    question = "Which mill, whose lamp?"
    given = {"mode": "bm25", "settings": one}
    (first,) = {span.doc_id for span in engine.retrieve(question, max_tokens=None, **given)}
    (lost,) = {"d0", "mill"} - {first}
    why = engine.why_not(question, lost, **given)
    assert (why.rank, why.words_block) == (None, 1)
    assert "1 are looked at: raise candidates.words" in why.reason
    assert engine.why_not(question, lost, mode="bm25").reason == "It is in the result."


def test_learning_a_threshold_leaves_the_engine_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks meanwhile gets what the engine's own threshold says."""
    engine.abstention = before = Abstention(threshold=1e9, found=0.0, refused=1.0)
    learning, asked = threading.Event(), threading.Event()
    meanwhile: list[object] = []

    def slowly(question: str, **options: Any) -> RetrievalResult:
        """Wait in the middle of learning until another has asked."""
        learning.set()
        assert asked.wait(WAIT)
        found = Engine.retrieve(engine, question, **options)
        assert found  # the engine's own threshold does not empty what is learned from
        return found

    def ask() -> None:
        assert learning.wait(WAIT)
        meanwhile.append((engine.abstention, Engine.retrieve(engine, QUESTION)))
        asked.set()

    monkeypatch.setattr(engine, "retrieve", slowly)
    other = threading.Thread(target=ask)
    other.start()
    learned = Abstention.learn(engine, [QUESTION], ["Who is king?"])
    other.join()
    assert meanwhile == [(before, [])]
    assert engine.abstention is before
    assert learned != before
