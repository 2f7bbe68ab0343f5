"""From text to a profile that loads, and what is refused before the work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import InputError, ProfileError
from s3_retriever.models.families import AttentionLayout
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.card import Head, ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import SaeSettings, ScanSettings
from s3_retriever.training.recipe import default_layers, make_profile, parse_heads, parse_sites
from tests.tiny import TEXT, tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUT = AttentionLayout("llama", n_layers=30, n_heads=9, n_kv_heads=3, head_dim=64, scaling=0.125)


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text(TEXT * 30, encoding="utf-8")
    return file


def make(llm: TransformersModel, corpus: Path, out: Path, **changes: Any) -> ProfileCard:
    arguments: dict[str, Any] = {
        "name": "mine",
        "corpus": [corpus],
        "held_out": [],
        "sites": [(1, (0, 1)), (2, (0, 1))],
        "heads": (Head(layer=2, head=5),),
        "settings": SaeSettings(latents=40, k=3, steps=12, batch_tokens=64, checkpoint_steps=5),
        "scan": ScanSettings(chunk_tokens=64, batch_tokens=256),
        "prefix": "Document:\n",
        "bos": False,
        "max_tokens": 600,
        "out": out,
        "command": "s3-retriever train --model tiny",
    }
    return make_profile(llm, **{**arguments, **changes})


def test_a_profile_from_text(tiny: TransformersModel, corpus: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int, float]] = []
    out = tmp_path / "profile"
    card = make(tiny, corpus, out, report=lambda *args: told.append(args))
    profile = Profile.load(out)
    assert profile.card == card
    profile.check_llm(tiny)
    assert profile.layers == (1, 2)
    assert card.weights_sha256 == tiny.weights_digest(2)
    assert [(s.d_in, s.n_latents, s.k) for s in profile.saes] == [(20, 40, 3)] * 2
    assert (card.name, card.model, card.family) == ("mine", "tiny-llama", "llama")
    assert card.training["command"] == "s3-retriever train --model tiny"
    assert card.training["steps"] == 12
    assert 500 <= card.training["tokens"] < 600
    assert all(0 < h.fvu < 1.5 and 0 <= h.dead_fraction <= 1 for h in card.hookpoints)
    assert sorted(p.name for p in out.iterdir()) == [  # the work folder is gone
        "layers.1.self_attn.k_proj.0-1",
        "layers.2.self_attn.k_proj.0-1",
        "profile.json",
    ]
    stages = list(dict.fromkeys(stage for stage, *_ in told))
    assert stages == ["scan", *(p.folder for p in card.hookpoints)]
    assert all(done <= total for _, done, total, _ in told)


def test_the_last_twentieth_is_held_out(
    tiny: TransformersModel, corpus: Path, tmp_path: Path
) -> None:
    n = tiny.count_tokens(corpus.read_text())
    told: list[float] = []
    make(tiny, corpus, tmp_path / "p", max_tokens=None, report=lambda *args: told.append(args[3]))
    card = Profile.load(tmp_path / "p").card
    assert card.training["tokens"] == n - n // 20
    assert n in told  # all were read


def test_held_out_text_is_measured_on(
    tiny: TransformersModel, corpus: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("zq " * 200)
    own = make(tiny, corpus, tmp_path / "a", held_out=[corpus], max_tokens=None)
    foreign = make(tiny, corpus, tmp_path / "b", held_out=[other], max_tokens=None)
    pairs = list(zip(own.hookpoints, foreign.hookpoints, strict=True))
    assert all(a.sha256 == b.sha256 for a, b in pairs)  # trained alike
    assert all(a.fvu != b.fvu for a, b in pairs)


def test_a_stopped_run_goes_on(tiny: TransformersModel, corpus: Path, tmp_path: Path) -> None:
    whole = make(tiny, corpus, tmp_path / "whole")

    def stop(stage: str, done: int, *_: Any) -> None:
        if stage.startswith("layers.2") and done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tiny, corpus, tmp_path / "parts", report=stop)
    assert not (tmp_path / "parts" / "profile.json").exists()
    told: list[str] = []
    parts = make(tiny, corpus, tmp_path / "parts", report=lambda stage, *_: told.append(stage))
    assert parts == whole
    assert set(told) == {"layers.2.self_attn.k_proj.0-1"}  # no scan, no first autoencoder
    assert len(told) == 7  # steps 6 to 12


def refused(llm: TransformersModel, corpus: Path, out: Path, **changes: Any) -> str:
    """The message of the InputError, which comes before anything is written."""
    with pytest.raises(InputError) as caught:
        make(llm, corpus, out, **changes)
    assert not out.exists()
    return str(caught.value)


def test_what_cannot_work_is_refused_at_once(
    tiny: TransformersModel, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "profile"
    assert "head 0.5 reads keys that are not coded" in refused(
        tiny, corpus, out, heads=[Head(layer=0, head=5)]
    )
    assert "head 2.5 reads keys that are not coded" in refused(
        tiny, corpus, out, sites=[(2, (0,))], heads=[Head(layer=2, head=5)]
    )
    assert "outside the model" in refused(tiny, corpus, out, sites=[(3, (0,))], heads=[])
    by_expansion = SaeSettings(expansion=2, k=3, steps=2, batch_tokens=64)
    assert "--latents" in refused(
        tiny, corpus, out, sites=[(1, (0,)), (2, (0, 1))], heads=[], settings=by_expansion
    )
    too_many = SaeSettings(latents=40, k=41)
    assert "--k 41 is more than the 40 latents" in refused(tiny, corpus, out, settings=too_many)


def test_different_key_heads_with_latents_given(
    tiny: TransformersModel, corpus: Path, tmp_path: Path
) -> None:
    make(tiny, corpus, tmp_path / "p", sites=[(1, (1,)), (2, (0, 1))])
    assert [s.d_in for s in Profile.load(tmp_path / "p").saes] == [10, 20]


def test_too_little_text(tiny: TransformersModel, corpus: Path, tmp_path: Path) -> None:
    corpus.write_text("A few words.")
    with pytest.raises(InputError, match=r"too little text is held out|fewer than one batch"):
        make(tiny, corpus, tmp_path / "a")
    corpus.write_text(TEXT * 9)
    short = tmp_path / "short.txt"
    short.write_text("A")
    with pytest.raises(InputError, match="too little text is held out"):
        make(tiny, corpus, tmp_path / "b", held_out=[short])


def test_another_models_profile_is_not_taken(
    tiny: TransformersModel, corpus: Path, tmp_path: Path
) -> None:
    make(tiny, corpus, tmp_path / "p")
    other = tiny_llm("qwen2")
    with pytest.raises(ProfileError, match=r"'mine' is for tiny-llama .*but tiny-qwen2 is"):
        Profile.load(tmp_path / "p").check_llm(other)


# The command line's words


@pytest.mark.parametrize(
    ("text", "sites"),
    [
        ("17,18", [(17, (0, 1, 2)), (18, (0, 1, 2))]),
        (" 17 , 18 ", [(17, (0, 1, 2)), (18, (0, 1, 2))]),
        ("17:1,18:0+2", [(17, (1,)), (18, (0, 2))]),
        ("29:2+0", [(29, (2, 0))]),
        ("17:1,2", [(17, (1,)), (2, (0, 1, 2))]),  # 2 is a layer
        ("17:0,17:1", [(17, (0,)), (17, (1,))]),
    ],
)
def test_parse_sites(text: str, sites: list[Any]) -> None:
    assert parse_sites(text, LAYOUT) == sites


@pytest.mark.parametrize("text", ["", "a", "17,", "17:a", "17:1+", "1.5", "17-18"])
def test_parse_sites_of_another_form(text: str) -> None:
    with pytest.raises(InputError, match=r"--layers takes e\.g\. 17,18 or 17:1"):
        parse_sites(text, LAYOUT)


@pytest.mark.parametrize("text", ["30", "-1", "17:3", "17:-1", "0,99"])
def test_parse_sites_outside_the_model(text: str) -> None:
    with pytest.raises(InputError, match="outside the model: 30 layers, 3 key heads"):
        parse_sites(text, LAYOUT)


@pytest.mark.parametrize("text", ["17,17", "17:1+1", "17:0+1,17:1", "17,17:2"])
def test_parse_sites_named_twice(text: str) -> None:
    with pytest.raises(InputError, match="twice"):
        parse_sites(text, LAYOUT)


def test_parse_heads() -> None:
    assert parse_heads("") == ()
    assert parse_heads("17.3, 18.6,") == (Head(layer=17, head=3), Head(layer=18, head=6))


@pytest.mark.parametrize("text", ["17", "17.", ".3", "17.3.1", "a.b", "17:3", "-1.3", "²³.1", " "])
def test_parse_heads_of_another_form(text: str) -> None:
    with pytest.raises(InputError, match=r"--heads takes e\.g\. 17\.3,18\.6"):
        parse_heads(text)


def test_default_layers() -> None:
    assert default_layers("meta-llama/Llama-3.1-8B-Instruct") == (0, 12, 16, 29)
    assert default_layers("mistralai/Mistral-7B-Instruct-v0.3") == (0, 7, 23, 29)
    assert default_layers("Qwen/Qwen2-7B-Instruct") == (0, 6, 19, 26)
    with pytest.raises(InputError, match=r"no layers for x/y; give --layers"):
        default_layers("x/y")
