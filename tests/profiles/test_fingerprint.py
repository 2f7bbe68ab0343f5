"""What decides whether codes of one profile are codes of another: a list of names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ConfigDict

from s3_retriever.checksums import sha256_of
from s3_retriever.models.wheels import WHEELS
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.profiles.cards import load_card, shipped_profiles
from s3_retriever.storage.manifest import Manifest
from tests.storage.conftest import random_profile
from tests.tiny import tiny_llm, write_profile

SITES = ((1, (0, 1)), (2, (1,)))
DATA = Path(__file__).parents[1] / "data"

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    llm = tiny_llm()
    path = tmp_path_factory.mktemp("profile") / "p"
    return write_profile(path, llm, sites=SITES, heads=((1, 4), (2, 5)))


@pytest.fixture
def record(folder: Path) -> dict[str, Any]:
    """``profile.json`` of layer 1 with both key heads and layer 2 with the second."""
    found: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    return found


def card_with(record: dict[str, Any], change: Change) -> ProfileCard:
    copy = json.loads(json.dumps(record))
    change(copy)
    return ProfileCard.model_validate(copy)


READ_WITH_A_QUESTION: dict[str, Change] = {
    "heads": lambda r: r.update(heads=[]),
    "another head": lambda r: r.update(heads=[{"layer": 1, "head": 0, "weight": 2.0}]),
    "question_prompt": lambda r: r.update(question_prompt=["{question}", "{question}?"]),
    "query_adapter": lambda r: r.update(query_adapter_sha256="1" * 64),
    "fusion": lambda r: r.update(fusion={"weights": {"features": 2.0}}),
    "retrieve": lambda r: r.update(retrieve={"scoring": {"best_tokens": 1}}),
    "presets": lambda r: r.update(presets={"cpu": "fast"}),
}
FOR_PEOPLE: dict[str, Change] = {
    "name": lambda r: r.update(name="another"),
    "training": lambda r: r.update(training={"command": "x"}),
    "report": lambda r: r.update(report={"n": 1}),
}
NO_MORE: dict[str, Change] = {
    "model": lambda r: r.update(model="another"),
    "revision": lambda r: r.update(revision="main"),
    "fvu": lambda r: r["hookpoints"][0].update(fvu=0.25),
    "dead_fraction": lambda r: r["hookpoints"][1].update(dead_fraction=0.25),
}
"""Went into the fingerprint of old, though no code depends on it."""
NEW: dict[str, Change] = {
    "weights": lambda r: r.update(weights_sha256="1" * 64),
    "schema_version": lambda r: r.update(schema_version=2),
}

DECIDES_CODES: dict[str, Change] = {
    "chunk_prefix": lambda r: r.update(chunk_prefix="Text:\n"),
    "tokenizer": lambda r: r.update(tokenizer_sha256="0" * 64),
    "bos": lambda r: r.update(bos=True),
    "k": lambda r: r.update(k=5),
    "n_latents": lambda r: r.update(n_latents=65),
    "family": lambda r: r.update(family="qwen3"),
    "n_layers": lambda r: r.update(n_layers=4),
    "n_heads": lambda r: r.update(n_heads=4, heads=[]),
    "head_dim": lambda r: r.update(head_dim=12),
    "n_kv_heads": lambda r: r.update(n_kv_heads=3, heads=[]),
    "activation_scale": lambda r: r["hookpoints"][0].update(activation_scale=0.03),
    "autoencoder": lambda r: r["hookpoints"][1].update(sha256="1" * 64),
    "layer": lambda r: (r["hookpoints"][1].update(layer=0), r.update(heads=[])),
    "kv_heads": lambda r: (r["hookpoints"][1].update(kv_heads=[0]), r.update(heads=[])),
    "order": lambda r: r["hookpoints"].reverse(),
}


@pytest.mark.parametrize("change", (READ_WITH_A_QUESTION | FOR_PEOPLE | NO_MORE | NEW).values())
def test_what_does_not_decide_codes_leaves_it(record: dict[str, Any], change: Change) -> None:
    before, after = ProfileCard.model_validate(record), card_with(record, change)
    assert after != before
    assert after.fingerprint == before.fingerprint


def test_what_decides_codes_changes_it(record: dict[str, Any]) -> None:
    before = ProfileCard.model_validate(record).fingerprint
    found = {card_with(record, change).fingerprint for change in DECIDES_CODES.values()}
    assert len(before) == 64
    assert len(found | {before}) == len(DECIDES_CODES) + 1


def test_it_changes_with_the_autoencoder(folder: Path, record: dict[str, Any]) -> None:
    before = load_card(folder).fingerprint
    file = folder / "layers.2.self_attn.k_proj.1" / "sae.safetensors"
    kept = file.read_bytes()
    torch.manual_seed(7)
    TopKSae(10, 64, 4).save(file.parent)
    digest = sha256_of(file)
    file.write_bytes(kept)
    changed = card_with(record, lambda r: r["hookpoints"][1].update(sha256=digest))
    assert changed.fingerprint != before


class CardOfTheFuture(ProfileCard):
    """A card with one field more, which is not listed as deciding codes."""

    model_config = ConfigDict(extra="forbid")

    unheard_of: str = "set"


def test_a_field_that_comes_later_locks_nobody_out(record: dict[str, Any]) -> None:
    now, later = ProfileCard.model_validate(record), CardOfTheFuture.model_validate(record)
    assert later.model_dump() != now.model_dump()
    assert later.fingerprint == now.fingerprint
    assert later.legacy_fingerprint == now.legacy_fingerprint


# What older releases wrote


OLD = "7935bb3e773b8883f3fc3718b6cf2f1aa1fc7050cc8284733c2dfc97d3dfff83"
"""Of the shipped profile, by the last release whose fingerprint was of all fields but some."""


def test_the_legacy_fingerprint_of_the_shipped_profile() -> None:
    card = load_card("smollm2-135m-instruct")
    assert card.legacy_fingerprint == OLD


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_for_both_sources_of_their_weights(name: str) -> None:
    card = load_card(name)
    assert card.model in WHEELS
    assert card.weights_sha256 is None  # the hub's and the GGUF file's weights are both right


@pytest.mark.parametrize("change", (READ_WITH_A_QUESTION | FOR_PEOPLE | NEW).values())
def test_the_legacy_one_is_left_by_what_left_it_then(
    record: dict[str, Any], change: Change
) -> None:
    before = ProfileCard.model_validate(record).legacy_fingerprint
    assert card_with(record, change).legacy_fingerprint == before


def test_the_legacy_one_changes_with_all_that_changed_it_then(record: dict[str, Any]) -> None:
    before = ProfileCard.model_validate(record).legacy_fingerprint
    changes = DECIDES_CODES | NO_MORE
    found = {card_with(record, change).legacy_fingerprint for change in changes.values()}
    assert len(found | {before}) == len(changes) + 1


@pytest.mark.parametrize("schema", [1, 2])
def test_indexes_of_older_releases_were_made_with_it(schema: int) -> None:
    manifest = Manifest.read(DATA / f"index-schema-{schema}")
    assert manifest is not None
    card = random_profile().card
    assert manifest.fingerprint == card.legacy_fingerprint != card.fingerprint
    assert card.made(manifest.fingerprint) and card.made(card.fingerprint)
    assert not random_profile(1).card.made(manifest.fingerprint)
