"""Profiles load whole or not at all, and say which model they are for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from s3_retriever.errors import ProfileError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.card import Hookpoint
from s3_retriever.profiles.cards import shipped_profiles
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, tiny_tokenizer, write_profile

SITES = ((1, (0, 1)), (2, (1,)))


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture
def folder(tiny: TransformersModel, tmp_path: Path) -> Path:
    """A valid profile to damage: layer 1 with both key heads, layer 2 with the second."""
    return write_profile(tmp_path / "p", tiny, sites=SITES, heads=((1, 4), (2, 5)))


@pytest.fixture
def edit(folder: Path) -> Callable[..., None]:
    """Change entries of ``profile.json``."""

    def change(**entries: Any) -> None:
        file = folder / "profile.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))

    return change


def hookpoint(folder: Path, number: int, /, **entries: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    return {**record["hookpoints"][number], **entries}


def refused(folder: Path | str) -> str:
    with pytest.raises(ProfileError) as caught:
        Profile.load(folder)
    return str(caught.value)


# Loading


def test_a_path_is_a_folder_even_if_it_has_a_shipped_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "smollm2-135m-instruct"
    folder.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert Profile.load(Path(name)).card.name == "tiny"
    assert Profile.load(f"./{name}").card.name == "tiny"
    assert Profile.load(name).card.name == name


def test_a_profile_loads(folder: Path, tiny: TransformersModel) -> None:
    profile = Profile.load(folder)
    assert profile.layers == (1, 2)
    assert [(s.d_in, s.n_latents, s.k) for s in profile.saes] == [(20, 64, 4), (10, 64, 4)]
    assert [h.folder for h in profile.card.hookpoints] == [
        "layers.1.self_attn.k_proj.0-1",
        "layers.2.self_attn.k_proj.1",
    ]
    assert Profile.load(str(folder)).card.fingerprint == profile.card.fingerprint
    profile.check_llm(tiny)


def test_a_folder_below_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert Profile.load("~/p").card.name == "tiny"


@pytest.mark.parametrize("name", shipped_profiles() or [None])
def test_the_shipped_profiles(name: str | None) -> None:
    if name is None:
        pytest.skip("no profile is shipped yet")
    profile = Profile.load(name)
    assert profile.card.name == name
    assert profile.card.heads
    assert all(h.fvu < 0.5 and h.dead_fraction < 0.9 for h in profile.card.hookpoints)
    assert len(profile.saes) == len(profile.card.hookpoints)


def test_the_shipped_profile_is_for_the_real_model(llm: TransformersModel) -> None:
    if "smollm2-135m-instruct" not in shipped_profiles():
        pytest.skip("no profile is shipped yet")
    Profile.load("smollm2-135m-instruct").check_llm(llm)


# Damage


def test_nothing_there(tmp_path: Path) -> None:
    for name in ("no-such-profile", str(tmp_path), str(tmp_path / "nowhere")):
        assert "make one with: s3-retriever adopt MODEL" in refused(name)
    assert "'no-such-profile'" in refused("no-such-profile")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"', "\ud800", "{}"])
def test_profile_json_that_is_no_profile(folder: Path, text: str) -> None:
    (folder / "profile.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert str(folder) in refused(folder)


def test_a_truncated_profile_json(folder: Path) -> None:
    file = folder / "profile.json"
    file.write_text(file.read_text()[:-30])
    assert "profile.json cannot be read" in refused(folder)


@pytest.mark.parametrize("version", [0, 2, 99, "1", None])
def test_another_schema(folder: Path, edit: Callable[..., None], version: Any) -> None:
    edit(schema_version=version)
    message = refused(folder)
    assert f"schema version {version}, this release reads 1" in message
    assert "upgrade s3-retriever" in message


def test_a_newer_schema_is_named_before_its_new_fields(
    folder: Path, edit: Callable[..., None]
) -> None:
    edit(schema_version=2, something_new=[1, 2])
    assert "upgrade s3-retriever" in refused(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"heads": [{"layer": 0, "head": 4}]}, "head 0.4 reads keys that are not coded"),
        ({"heads": [{"layer": 2, "head": 2}]}, "head 2.2 reads keys that are not coded"),
        ({"heads": [{"layer": 1, "head": 6}]}, "head 1.6 reads keys that are not coded"),
        ({"heads": [{"layer": 1, "head": -1}]}, "greater than or equal to 0"),
        ({"n_layers": 2}, "layer 2, key head 1 is outside the model"),
        ({"n_kv_heads": 1}, "layer 1, key head 1 is outside the model|layer 2, key head 1"),
        ({"hookpoints": []}, "hookpoints"),
        ({"k": 0}, "k"),
        ({"k": 70000}, "k"),
        ({"chunk_prefix": ""}, "chunk_prefix"),
        ({"question_prompt": ["Q: {question}", "A:"]}, "must contain {question}"),
        ({"something": 1}, "something"),
        ({"head_dim": "wide"}, "head_dim"),
        ({"head_dim": 10**12}, "head_dim"),
        ({"n_latents": 10**12}, "n_latents"),
        ({"n_layers": 10**30}, "n_layers"),
        ({"k": 65}, "cannot be active"),
        ({"chunk_prefix": "x" * 100_000}, "chunk_prefix"),
        ({"question_prompt": ["{question}", "{question}" + "x" * 100_000]}, "question_prompt"),
        ({"heads": [{"layer": 1, "head": 4, "weight": float("nan")}]}, "no number"),
        ({"heads": [{"layer": 1, "head": 4, "weight": float("-inf")}]}, "no number"),
        ({"retrieve": {"fusion": {"paragraph_weight": float("inf")}}}, "no number"),
        ({"retrieve": {"fusion": {"weights": {"bm25": float("nan")}}}}, "no number"),
        ({"retrieve": {"candidates": {"words": 10**30}}}, "words is more than"),
        ({"report": {"recall": float("nan")}}, "no number"),
    ],
)
def test_entries_that_do_not_fit(
    folder: Path, edit: Callable[..., None], entries: dict[str, Any], message: str
) -> None:
    edit(**entries)
    found = refused(folder)
    assert any(part in found for part in message.split("|"))
    assert "profile.json cannot be read" in found


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000,
        "[" * 100_000,
        '{"k": 1e999}',
        '{"k": -1e999}',
        '{"k": ' + "1" * 10_000 + "}",
        '{"name": "' + "x" * (17 << 20) + '"}',
    ],
    ids=["objects", "lists", "infinite", "minus infinite", "digits", "large"],
)
def test_cards_that_are_bombs(folder: Path, text: str) -> None:
    (folder / "profile.json").write_text(text)
    assert "profile.json cannot be read" in refused(folder)


@pytest.mark.parametrize("entries", [{"n_kv_heads": 0}, {"n_heads": 1}])
def test_impossible_head_counts(
    folder: Path, edit: Callable[..., None], entries: dict[str, Any]
) -> None:
    edit(**entries)
    refused(folder)


def test_a_hookpoint_named_twice(folder: Path, edit: Callable[..., None]) -> None:
    edit(hookpoints=[hookpoint(folder, 0), hookpoint(folder, 0)], heads=[])
    refused(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"layer": "../../etc"},
        {"layer": -1},
        {"layer": 1.5},
        {"kv_heads": ["../.."]},
        {"kv_heads": ["0/../.."]},
        {"kv_heads": []},
        {"kv_heads": [-1]},
        {"folder": "../outside"},
        {"sha256": "../"},
        {"activation_scale": 0},
        {"activation_scale": -1},
    ],
)
def test_hookpoints_that_do_not_fit(
    folder: Path, edit: Callable[..., None], entries: dict[str, Any]
) -> None:
    # a valid autoencoder waits wherever a folder's name could climb to
    for place in (folder.parent, folder.parent / "outside", folder / "layers.1.self_attn.k_proj.0"):
        shutil.copytree(folder / "layers.1.self_attn.k_proj.0-1", place, dirs_exist_ok=True)
    edit(hookpoints=[hookpoint(folder, 0, **entries)], heads=[])
    assert "profile.json cannot be read" in refused(folder)


def test_folders_have_no_separators() -> None:
    made = Hookpoint(
        layer=17,
        kv_heads=(0, 2),
        activation_scale=1,
        fvu=0,
        dead_fraction=0,
        sha256="0" * 64,
    )
    assert made.folder == "layers.17.self_attn.k_proj.0-2"
    assert Path(made.folder).name == made.folder


def sae_folder(folder: Path) -> Path:
    return folder / "layers.2.self_attn.k_proj.1"


@pytest.mark.parametrize("file", ["sae.safetensors", "cfg.json"])
def test_a_missing_autoencoder_file(folder: Path, file: str) -> None:
    (sae_folder(folder) / file).unlink()
    message = refused(folder)
    assert "missing" in message and file in message


def test_a_truncated_autoencoder(folder: Path) -> None:
    file = sae_folder(folder) / "sae.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "damaged" in refused(folder)


def test_an_altered_autoencoder(folder: Path) -> None:
    file = sae_folder(folder) / "sae.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    message = refused(folder)
    assert "layers.2.self_attn.k_proj.1 is not the autoencoder" in message
    assert "copy the profile's folder again" in message


@pytest.mark.parametrize("entries", [{"k": 3}, {"n_latents": 65}, {"head_dim": 12}])
def test_an_autoencoder_of_another_size(
    folder: Path, edit: Callable[..., None], entries: dict[str, Any]
) -> None:
    edit(**entries)
    assert "another size" in refused(folder)


# The model


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("qwen3", {}), ("llama", {"num_hidden_layers": 4}), ("llama", {"head_dim": 12})],
)
def test_another_model(folder: Path, family: str, sizes: dict[str, Any]) -> None:
    other = tiny_llm(family, **sizes)
    other.name = "somebody/another"
    with pytest.raises(ProfileError) as caught:
        Profile.load(folder).check_llm(other)
    message = str(caught.value)
    assert "tiny-llama ('llama', 3, 6, 2, 10)" in message
    assert "somebody/another is ('" in message
    assert "s3-retriever adopt MODEL" in message


def test_another_tokenizer(folder: Path, tiny: TransformersModel) -> None:
    other = TransformersModel(tiny.model, tiny_tokenizer(renumbered=True), "somebody/another")
    with pytest.raises(ProfileError, match=r"tokenizer of tiny-llama; somebody/another numbers"):
        Profile.load(folder).check_llm(other)


# Its weights


@pytest.fixture
def fine_tuned() -> TransformersModel:
    """The same model but for the key projections of one layer."""
    other = tiny_llm()
    with torch.no_grad():
        other.model.get_decoder().layers[1].self_attn.k_proj.weight.mul_(1.1)
    other.name = "somebody/fine-tuned"
    return other


def test_any_weights_will_do_where_the_card_names_none(
    folder: Path, fine_tuned: TransformersModel
) -> None:
    Profile.load(folder).check_llm(fine_tuned)


def test_other_weights_than_the_card_names(
    folder: Path, edit: Callable[..., None], tiny: TransformersModel, fine_tuned: TransformersModel
) -> None:
    edit(weights_sha256=tiny.weights_digest(2))
    profile = Profile.load(folder)
    profile.check_llm(tiny)
    with pytest.raises(ProfileError) as caught:
        profile.check_llm(fine_tuned)
    message = str(caught.value)
    assert tiny.weights_digest(2)[:12] in message
    assert f"somebody/fine-tuned (digest {fine_tuned.weights_digest(2)[:12]})" in message
    assert "s3-retriever adopt MODEL" in message


def test_layers_above_the_last_that_is_read_may_differ(
    tmp_path: Path, tiny: TransformersModel
) -> None:
    folder = write_profile(tmp_path / "p", tiny)  # of layer 1
    record = json.loads((folder / "profile.json").read_text())
    record["weights_sha256"] = tiny.weights_digest(1)
    (folder / "profile.json").write_text(json.dumps(record))
    other = tiny_llm()
    with torch.no_grad():
        other.model.get_decoder().layers[2].self_attn.k_proj.weight.mul_(1.1)
    Profile.load(folder).check_llm(other)
