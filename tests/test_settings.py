"""Settings that were saved before their fields had the names of today, and what settings are."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from s3_retriever import Document, Engine, RetrieveSettings
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.presets import mode_names, preset_named
from s3_retriever.settings import (
    FusionSettings,
    QueryLikelihoodSettings,
    Weights,
)
from tests.tiny import TEXT, tiny_llm, write_profile

OLDER = {
    "candidates": {
        "words": 32,
        "features": 16,
        "features_alone": 1024,
        "cover": 64,
        "query_features": 128,
    },
    "scoring": {"pooling": "max", "stop_df": 5000, "null_question": "N/A"},
    "density": {"kernel": 8, "centres": 40, "suppression": 8},
    "spans": {"threshold": 1.0, "max_tokens": 96, "sentences": True, "passage_tokens": 256},
    "fusion": {
        "features_weight": 1.0,
        "bm25_weight": 1.0,
        "feedback_weight": 1.0,
        "passages_weight": 0.5,
        "likelihood_weight": 2.0,
        "bm25_spans": 40,
        "lead_tokens": 0,
        "tail_tokens": 0,
        "paragraph_weight": 0.8,
    },
    "feedback": {"evidence": 2, "blocks": 32, "max_df": 0.2, "spans": 40},
    "rerank": {"window": 2048, "passages": 24},
}
"""``RetrieveSettings().model_dump(mode="json")`` before 0.1."""


def test_older_settings_load() -> None:
    loaded = RetrieveSettings.model_validate(json.loads(json.dumps(OLDER)))
    weights = {
        "features": 1.0,
        "bm25": 1.0,
        "pseudo_relevance_feedback": 1.0,
        "passages": 0.5,
        "query_likelihood": 2.0,
    }
    assert loaded.fusion.weights == weights
    for mode in mode_names():  # what is written down counts, whatever the default is today
        preset = preset_named(mode)
        if len(preset.legs) > 1:
            asked = preset.weights(loaded)
            assert asked == {leg: weights.get(leg, preset.legs[leg]) for leg in asked}


def test_older_settings_keep_what_they_say() -> None:
    older = {
        "fusion": {"features_weight": 0.25, "likelihood_weight": 0, "lead_tokens": 4},
        "feedback": {"evidence": 3},
        "rerank": {"window": 99},
    }
    loaded = RetrieveSettings.model_validate(older)
    assert loaded.fusion.weights == {"features": 0.25, "query_likelihood": 0}
    assert loaded.fusion.lead_tokens == 4
    assert loaded.pseudo_relevance_feedback.evidence == 3
    assert loaded.query_likelihood.window == 99
    again = RetrieveSettings.model_validate_json(loaded.model_dump_json())
    assert again == loaded


@pytest.mark.parametrize("fusion", [{"features_weight": -1}, {"likelihood_weight": "much"}])
def test_older_settings_that_are_wrong_are_refused(fusion: dict) -> None:
    with pytest.raises(ValidationError, match="weights"):
        FusionSettings.model_validate(fusion)
    with pytest.raises(ValidationError, match="nonsense"):
        FusionSettings.model_validate({"nonsense": 1})


def test_a_newer_name_counts_more_than_an_older_one() -> None:
    both = FusionSettings.model_validate({"bm25_weight": 1, "weights": {"bm25": 2, "passages": 3}})
    assert both.weights == {"bm25": 2, "passages": 3}


@pytest.mark.usefixtures("one_thread")
def test_an_older_engine_and_an_older_profile_give_the_same_results(tmp_path: Path) -> None:
    llm = tiny_llm()
    folder = write_profile(tmp_path, llm)
    documents = [Document(f"d{n}", line) for n, line in enumerate(TEXT.splitlines())]

    def found(settings: RetrieveSettings | None) -> list[list[tuple[str, float]]]:
        engine = Engine(llm, Profile.load(folder), retrieve=settings)
        engine.add(documents)
        asked = [engine.retrieve("What burned until 1911?", mode=mode) for mode in mode_names()]
        return [[(span.id, span.score) for span in spans] for spans in asked]

    older = RetrieveSettings.model_validate(OLDER)
    expected = found(older)
    assert all(expected)
    card = json.loads((folder / "profile.json").read_text())
    card["fusion"] = OLDER["fusion"]
    (folder / "profile.json").write_text(json.dumps(card))
    assert found(older.model_copy(update={"query_likelihood": QueryLikelihoodSettings()})) == (
        found(None)
    )
    card["fusion"] = {**OLDER["fusion"], "bm25_weight": 0.25, "likelihood_weight": 0.0}
    (folder / "profile.json").write_text(json.dumps(card))
    assert ProfileCard.model_validate(card).retrieve == RetrieveSettings(
        fusion=FusionSettings(
            weights={
                "features": 1,
                "bm25": 0.25,
                "pseudo_relevance_feedback": 1,
                "passages": 0.5,
                "query_likelihood": 0,
            }
        )
    )
    assert found(None) != expected


def test_settings_can_be_shared() -> None:
    """They are equal by value, hash, cannot be changed, and travel."""
    settings = RetrieveSettings(fusion=FusionSettings(weights={"bm25": 2.0, "passages": 1.0}))
    same = RetrieveSettings(fusion=FusionSettings(weights={"passages": 1.0, "bm25": 2.0}))
    assert settings == same
    assert len({settings, same, RetrieveSettings()}) == 2
    with pytest.raises(ValidationError, match="frozen"):
        settings.fusion = FusionSettings()  # type: ignore[misc]
    with pytest.raises(TypeError, match="assignment"):
        settings.fusion.weights["bm25"] = 3.0  # type: ignore[index]
    for copied in (copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert copied == settings
    given = {"bm25": 2.0}
    taken = FusionSettings(weights=given)
    given["bm25"] = 5.0
    assert taken.weights == {"bm25": 2.0}


def test_weights() -> None:
    weights = Weights({"bm25": 2.0})
    assert (dict(weights), len(weights), repr(weights)) == ({"bm25": 2.0}, 1, "{'bm25': 2.0}")
    assert weights == Weights(weights) == {"bm25": 2.0}
    assert weights != Weights()
    with pytest.raises(KeyError):
        weights["features"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    for settings in (
        {"fusion": {"paragraph_weight": number}},
        {"fusion": {"weights": {"bm25": number}}},
        {"spans": {"threshold": number}},
        {"pseudo_relevance_feedback": {"max_df": number}},
    ):
        with pytest.raises(ValidationError):
            RetrieveSettings.model_validate(settings)


@pytest.mark.parametrize("number", [2**31, 10**30, 10**400])
@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("candidates", "features_alone"),
        ("density", "kernel"),
        ("spans", "max_tokens"),
        ("fusion", "bm25_spans"),
        ("query_likelihood", "passages"),
    ],
)
def test_counts_beyond_all_use_are_refused(part: str, field: str, number: int) -> None:
    with pytest.raises(ValidationError, match="is more than"):
        RetrieveSettings.model_validate({part: {field: number}})
