"""What a calibration leaves behind: a profile with other heads, or the command for a better one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError, ProfileError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import QueryAdapter
from s3_retriever.settings import FusionSettings, RetrieveSettings
from s3_retriever.training.calibration.profiles import (
    coded_heads,
    refuse_folder,
    site_of,
    train_command,
    write_profile,
)
from s3_retriever.training.recipe import parse_heads, parse_sites
from s3_retriever.types import Document
from tests import tiny

HEADS = (Head(layer=2, head=1, weight=1.25), Head(layer=1, head=4, weight=0.75))


@pytest.fixture(scope="module")
def llm() -> TransformersModel:
    return tiny.tiny_llm()


@pytest.fixture
def source(llm: TransformersModel, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return tiny.write_profile(folder, llm, sites=((1, (0, 1)), (2, (1, 0))))


def test_coded_heads(llm: TransformersModel, tmp_path: Path) -> None:
    sites = ((2, (0,)), (1, (1,)))
    folder = tiny.write_profile(tmp_path, llm, sites=sites)
    card = Profile.load(folder).card
    # 6 heads share 2 key heads: 0 to 2 read the first, 3 to 5 the second
    assert coded_heads(card) == ((1, 3), (1, 4), (1, 5), (2, 0), (2, 1), (2, 2))
    assert [site_of(card, (7, head)) for head in (0, 2, 3, 5)] == [(7, 0), (7, 0), (7, 1), (7, 1)]


def test_a_copy_differs_in_its_heads_only(source: Path, tmp_path: Path) -> None:
    written = write_profile(str(source), tmp_path / "out", heads=HEADS)
    old = Profile.load(source)
    assert written.card == old.card.model_copy(update={"heads": HEADS})
    assert written.card.fingerprint == old.card.fingerprint
    for file in source.rglob("*.*"):
        if file.is_file() and file.name != "profile.json":
            copied = tmp_path / "out" / file.relative_to(source)
            assert copied.read_bytes() == file.read_bytes()


def test_indexes_stay_valid(llm: TransformersModel, source: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    Engine(llm, Profile.load(source), index).add([Document("d", tiny.TEXT)])
    written = write_profile(str(source), tmp_path / "out", heads=HEADS)
    engine = Engine(llm, written, index)
    assert engine.retrieve("When?", max_tokens=50, scoring="attention")


def test_a_shipped_profile_by_name(tmp_path: Path) -> None:
    heads = (Head(layer=17, head=5, weight=2.0),)
    written = write_profile("smollm2-135m-instruct", tmp_path / "out", heads=heads)
    assert written.card.heads == heads
    assert written.card.fingerprint == Profile.load("smollm2-135m-instruct").card.fingerprint


def adapter_for(n_heads: int) -> QueryAdapter:
    adapter = QueryAdapter.identity(n_heads=n_heads, head_dim=10, rank=2)
    adapter.bias.fill_(0.5)
    return adapter


def test_an_adapter_belongs_to_its_heads(source: Path, tmp_path: Path) -> None:
    named = write_profile(str(source), tmp_path / "named", heads=HEADS)
    adapted = write_profile(str(tmp_path / "named"), tmp_path / "adapted", adapter=adapter_for(2))
    assert adapted.card.fingerprint == named.card.fingerprint
    assert adapted.adapter is not None
    assert (adapted.adapter.bias == 0.5).all()
    learned = RetrieveSettings(fusion=FusionSettings(weights={"query_likelihood": 4.0}))
    both = write_profile(str(tmp_path / "adapted"), tmp_path / "both", retrieve=learned)
    assert both.card.retrieve == learned
    assert both.card.query_adapter_sha256 == adapted.card.query_adapter_sha256
    other = write_profile(str(tmp_path / "both"), tmp_path / "other", heads=HEADS[:1])
    assert other.adapter is None
    assert other.card.retrieve == learned


def test_an_adapter_that_does_not_fit(source: Path, tmp_path: Path) -> None:
    named = write_profile(str(source), tmp_path / "named", heads=HEADS)
    with pytest.raises(ProfileError, match="is for 3 heads of 10 dimensions, the profile has 2"):
        write_profile(str(tmp_path / "named"), tmp_path / "out", adapter=adapter_for(3))
    assert named.adapter is None


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    before = (source / "profile.json").read_bytes()
    with pytest.raises(InputError, match="exists; give --out a new folder"):
        write_profile(str(source), source, heads=HEADS)
    assert (source / "profile.json").read_bytes() == before
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="exists"):
        refuse_folder(file)
    with pytest.raises(InputError, match="its folder does not exist"):
        refuse_folder(tmp_path / "none" / "out")
    (tmp_path / "empty").mkdir()
    refuse_folder(tmp_path / "empty")


def test_heads_that_are_not_coded(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"head 0\.1 reads keys that are not coded"):
        write_profile(str(source), tmp_path / "out", heads=[Head(layer=0, head=1)])
    assert not (tmp_path / "out").exists()


def test_the_command_codes_what_the_heads_read(llm: TransformersModel, source: Path) -> None:
    card = Profile.load(source).card
    prefixed = card.model_copy(update={"chunk_prefix": "It's:\n"})
    words = shlex.split(train_command("a/b", prefixed, [(2, 5), (0, 1), (2, 0), (2, 4)]))
    options = dict(zip(words[2::2], words[3::2], strict=False))
    assert words[:2] == ["s3-retriever", "train"]
    assert options["--model"] == "a/b"
    assert parse_sites(options["--layers"], llm.layout) == [(0, (0,)), (2, (0, 1))]
    found = [(h.layer, h.head) for h in parse_heads(options["--heads"])]
    assert found == [(2, 5), (0, 1), (2, 0), (2, 4)]
    assert (options["--latents"], options["--k"]) == ("64", "4")
    assert "--no-bos" in words
    assert words[words.index("--prefix") + 1] == "It's:\n"
    assert "--prefix" not in train_command("a/b", card, [(0, 1)])
