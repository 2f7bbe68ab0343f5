"""Every leg passes the suite, and so does one from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.legs.base import Leg
from s3_retriever.retrieval.legs.bm25 import BM25
from s3_retriever.retrieval.legs.features import Features
from s3_retriever.retrieval.legs.headings import Headings
from s3_retriever.retrieval.legs.lead_tail import LeadTail
from s3_retriever.retrieval.legs.passages import Passages
from s3_retriever.retrieval.legs.pseudo_relevance_feedback import PseudoRelevanceFeedback
from s3_retriever.retrieval.legs.query_likelihood import QueryLikelihood
from s3_retriever.retrieval.legs.registry import (
    leg_named,
    leg_names,
    register_leg,
    unregister_leg,
)
from s3_retriever.retrieval.presets import (
    Preset,
    mode_names,
    preset_named,
    register_preset,
    unregister_preset,
)
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.settings import FusionSettings, RetrieveSettings, SpanSettings
from s3_retriever.testing.legs import LegContract, make_context
from s3_retriever.types import SpanRef
from tests.tiny import tiny_llm, write_profile

EDGES = RetrieveSettings(fusion=FusionSettings(lead_tokens=3, tail_tokens=2))


class TestFeatures(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return Features()


class TestFeaturesWithoutSentences(LegContract):
    whole_sentences = False
    used = RetrieveSettings(spans=SpanSettings(sentences=False, threshold=0.5))

    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return Features()


class TestBM25(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return BM25()


class TestLeadTail(LegContract):
    whole_sentences = False
    used = EDGES
    inactive = RetrieveSettings()

    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return LeadTail()


class TestPseudoRelevanceFeedback(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return PseudoRelevanceFeedback()


class TestHeadings(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return Headings()


class TestPassages(LegContract):
    inactive = RetrieveSettings(fusion=FusionSettings(weights={"features": 0}))

    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return Passages()


class TestQueryLikelihood(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return QueryLikelihood()


@pytest.mark.parametrize(
    "spans",
    [
        [("d", 0, 7, 0.0)],  # no positive score
        [("d", 0, 7, float("nan"))],
        [("d", 0, 7, 1.0), ("d", 8, 16, 2.0)],  # worst first
        [("d", 8, 17, 1.0)],  # beyond the end
        [("d", 7, 8, 1.0)],  # white space
        [("d", 0, 2, 1.0)],  # a cut word
        [("d", 0, 3, 1.0)],  # a cut sentence
        [("gone", 0, 7, 1.0)],
    ],
)
def test_the_suite_refuses(spans: list[tuple[str, int, int, float]]) -> None:
    context = make_context({"d": "One is. Two are."}, "One?", weights={})
    proposed = [ScoredSpan(SpanRef(*ref), score) for *ref, score in spans]
    with pytest.raises(AssertionError):
        LegContract().check(context, proposed)
    LegContract().check(context, [ScoredSpan(SpanRef("d", 0, 7), 1.0)])


@dataclass(frozen=True)
class FirstSentences:
    """A leg that this package does not know: every candidate document's first sentence."""

    name: str = "first_sentences"
    after: tuple[str, ...] = ("bm25",)

    def active(self, settings: RetrieveSettings) -> bool:
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        documents = dict.fromkeys(tokens.doc_id for tokens in context.candidates)
        firsts = {i: context.store.bounds(i).sentences[:1].tolist() for i in documents}
        return [
            ScoredSpan(SpanRef(i, *bounds), 2.0) for i, found in firsts.items() for bounds in found
        ]


class TestFirstSentences(LegContract):
    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        return FirstSentences()


@pytest.fixture
def mine() -> object:
    register_leg(FirstSentences())
    register_preset(Preset("mine", {"bm25": 1.0, "first_sentences": 3.0}))
    yield
    unregister_preset("mine")
    unregister_leg("first_sentences")


@pytest.mark.usefixtures("mine")
def test_a_leg_and_a_mode_from_outside(tmp_path: Path) -> None:
    llm = tiny_llm()
    engine = Engine(llm, Profile.load(write_profile(tmp_path, llm)))
    engine.add([Document("a", "A door. The sky is blue."), Document("b", "Grass grows.")])
    spans = engine.retrieve("Why is the sky blue?", mode="mine")
    assert (spans[0].text, spans[0].scores) == ("A door.", {"first_sentences": 2.0})
    assert {s.text: set(s.scores) for s in spans} == {
        "A door.": {"first_sentences"},
        "Grass grows.": {"first_sentences"},
        "The sky is blue.": {"bm25"},
    }
    paragraph = RetrieveSettings().fusion.paragraph_weight
    assert engine.highest_score("mine") == pytest.approx(4.0 * (1 + paragraph))
    heavier = RetrieveSettings(fusion=FusionSettings(weights={"first_sentences": 0.0}))
    (only,) = engine.retrieve("Why is the sky blue?", mode="mine", settings=heavier)
    assert only.text == "The sky is blue."
    assert "mine" in mode_names()
    assert "first_sentences" in leg_names()


def test_what_is_unregistered_is_unknown() -> None:
    unregister_preset("mine")
    unregister_leg("first_sentences")
    with pytest.raises(InputError, match="mode must be one of"):
        preset_named("mine")
    with pytest.raises(InputError, match="no leg 'first_sentences'"):
        leg_named("first_sentences")
    assert leg_names() == (
        "features",
        "bm25",
        "lead_tail",
        "pseudo_relevance_feedback",
        "headings",
        "passages",
        "query_likelihood",
    )
    assert mode_names() == ("hybrid", "fast", "features", "bm25")
