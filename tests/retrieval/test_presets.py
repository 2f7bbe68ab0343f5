"""Which legs a preset asks, and what they count."""

from __future__ import annotations

import pytest

from s3_retriever.errors import InputError
from s3_retriever.retrieval.fusion import highest_score
from s3_retriever.retrieval.presets import Preset, mode_names, preset_named, register_preset
from s3_retriever.settings import FusionSettings, RetrieveSettings

FAST = {
    "features": 1.0,
    "bm25": 1.5,
    "pseudo_relevance_feedback": 1.0,
    "headings": 1.0,
    "passages": 0.5,
}


def weights(mode: str, **fusion: object) -> dict[str, float]:
    return preset_named(mode).weights(RetrieveSettings(fusion=FusionSettings(**fusion)))  # type: ignore[arg-type]


def test_the_presets_legs() -> None:
    assert weights("fast") == FAST
    assert weights("hybrid") == FAST | {"query_likelihood": 1.5}
    assert weights("features") == {"features": 1.0}
    assert weights("bm25") == {"bm25": 1.0}
    assert [mode for mode in mode_names() if not preset_named(mode).look_up_words] == ["features"]
    assert all(preset_named(mode).summary for mode in mode_names())


def test_first_and_last_tokens_only_when_asked_for() -> None:
    assert weights("fast", lead_tokens=1) == FAST | {"lead_tail": 1.0}
    assert weights("fast", tail_tokens=1) == FAST | {"lead_tail": 1.0}
    assert weights("features", lead_tokens=1) == {"features": 1.0}


def test_settings_weigh_legs() -> None:
    assert weights("fast", weights={"bm25": 3.0, "query_likelihood": 9.0}) == FAST | {"bm25": 3.0}
    without = weights("fast", weights={"bm25": 0})
    assert without == {leg: weight for leg, weight in FAST.items() if leg != "bm25"}


def test_passages_need_features() -> None:
    assert weights("fast", weights={"features": 0}) == {
        "bm25": 1.5,
        "pseudo_relevance_feedback": 1.0,
        "headings": 1.0,
    }


def test_an_only_legs_weight_decides_nothing() -> None:
    """Of weight 0 its spans would come in the order of their places."""
    assert weights("bm25", weights={"bm25": 0}) == {"bm25": 1.0}


def test_a_leg_that_is_not_known() -> None:
    with pytest.raises(InputError, match="no leg 'likelihood'; known: features, bm25"):
        weights("bm25", weights={"likelihood": 2.0})
    with pytest.raises(InputError, match="no leg 'words'"):
        register_preset(Preset("wrong", {"words": 1.0}))


def test_an_order_that_legs_do_not_allow() -> None:
    with pytest.raises(InputError, match="'wrong': bm25 must precede passages"):
        register_preset(Preset("wrong", {"features": 1.0, "passages": 1.0, "bm25": 1.0}))
    assert "wrong" not in mode_names()


def test_the_highest_score_counts_legs_that_are_asked() -> None:
    assert highest_score(weights("fast"), 0.8) == pytest.approx(5.0 * 1.8)
    assert highest_score(weights("fast", lead_tokens=1), 0.8) == pytest.approx(6.0 * 1.8)
    assert highest_score(weights("hybrid", weights={"features": 0}), 0) == pytest.approx(5.0)
