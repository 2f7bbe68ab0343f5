"""A model that is read as nonsense is refused; .ci/versions runs this with other transformers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import NotLoadedError, ProfileError
from s3_retriever.models.loading import load_tokenizer
from s3_retriever.models.tokenizing import TextTokenizer
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.models.weights import find_weights
from s3_retriever.profiles.cards import load_card, shipped_profiles
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.self_test import SelfTest, make_self_test
from tests.tiny import tiny_llm

NAME = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def known() -> SelfTest:
    test = load_card(NAME).self_test
    assert test is not None
    return test


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_has_one(name: str) -> None:
    test = load_card(name).self_test
    assert test is not None and test.next_token == " y"
    assert [len(row) for row in test.latents] == len(load_card(name).hookpoints) * [len(test.ids)]


def test_the_model_passes(llm: TransformersModel, known: SelfTest) -> None:
    profile = Profile.load(NAME)
    assert known.fault_of(llm, no_latents) is None
    made = make_self_test(llm, partial(profile.latents_of, llm))
    assert made.model_copy(update={"latents": known.latents}) == known
    assert made.fault_of(first_layers(llm), lambda text: known.latents) is None
    profile.check_llm(llm)


@pytest.mark.parametrize(("same", "refused"), [(4, False), (2, False), (1, True), (0, True)])
def test_features_of_half_the_tokens_have_to_be_the_same(
    llm: TransformersModel, known: SelfTest, same: int, refused: bool
) -> None:
    kept = known.model_copy(update={"latents": ((1, 2), (3, 4))})
    found = [n if at < same else 0 for at, n in enumerate((1, 2, 3, 4))]
    fault = kept.fault_of(first_layers(llm), lambda text: (tuple(found[:2]), tuple(found[2:])))
    assert (fault is not None) == refused
    older = known.model_copy(update={"latents": ()})
    assert older.fault_of(first_layers(llm), no_latents) is None


def no_latents(text: str) -> Any:
    raise AssertionError("all layers are there: the next token is asked for")


def first_layers(llm: TransformersModel) -> Any:
    """Typed as anything: it stands for another class of model."""
    return _FirstLayersAlone(llm)


class _FirstLayersAlone:
    """A model that cannot write."""

    def __init__(self, llm: TransformersModel) -> None:
        self._llm: Any = llm

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotLoadedError("only the first layers are loaded")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)


class _OtherTokenizer:
    """A model with the tokenizer of another folder."""

    def __init__(self, llm: TransformersModel, folder: Path) -> None:
        self._llm = llm
        self._text = TextTokenizer(load_tokenizer(folder), llm.name, vocabulary=49152)

    def tokenize(self, text: str) -> Any:
        return self._text.tokenize(text)

    def tokenizer_hash(self) -> str:
        return self._text.tokenizer_hash()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)


@pytest.fixture
def folder(llm: TransformersModel, tmp_path: Path) -> Path:
    """A copy of the real model's tokenizer."""
    for file in find_weights(llm.name).glob("*token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_the_same_vocabulary_used_otherwise(llm: TransformersModel, folder: Path) -> None:
    record = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    record["pre_tokenizer"] = {
        "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(record), encoding="utf-8")
    wrong: Any = _OtherTokenizer(llm, folder)
    assert wrong.tokenizer_hash() == llm.tokenizer_hash()
    with pytest.raises(ProfileError, match=r"other token ids, from its token 0 on.*Remove the con"):
        Profile.load(NAME).check_llm(wrong)


@pytest.mark.parametrize("said", ["CodeLlamaTokenizer", "LlamaTokenizer", "GPT2Tokenizer", "No"])
def test_a_class_that_a_folder_names_changes_nothing(
    llm: TransformersModel, folder: Path, known: SelfTest, said: str
) -> None:
    file = folder / "tokenizer_config.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    # as transformers 5.2 wrote it for a GGUF file
    record |= {"tokenizer_class": said, "legacy": False, "add_prefix_space": True}
    file.write_text(json.dumps(record), encoding="utf-8")
    other: Any = _OtherTokenizer(llm, folder)
    assert known.fault_of(other, no_latents) is None


def test_weights_that_say_something_else(llm: TransformersModel, known: SelfTest) -> None:
    expects = known.model_copy(update={"next_token": " z"})
    assert expects.fault_of(llm, no_latents) == "a known text goes on with ' y', not ' z'"


def test_a_model_that_knows_no_alphabet_is_asked_for_ids_alone() -> None:
    random = tiny_llm(max_position_embeddings=4096)
    test = make_self_test(random)
    assert test.next_token is None
    assert test.fault_of(random, no_latents) is None  # made without latents
    kept = test.model_copy(update={"latents": ((1, 2),)})
    assert "other features" in (kept.fault_of(random, lambda text: ((3, 4),)) or "")
    assert make_self_test(tiny_llm(max_position_embeddings=64)).ids == test.ids
