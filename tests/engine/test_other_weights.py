"""An index is read with the weights it was written with, and with no other fine-tune's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from s3_retriever import Document, Engine
from s3_retriever.errors import IndexMismatchError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.manifest import Manifest
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def llm() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(scope="module")
def profile(llm: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile.load(write_profile(tmp_path_factory.mktemp("profile") / "p", llm))


@pytest.fixture
def folder(llm: TransformersModel, profile: Profile, tmp_path: Path) -> Path:
    Engine(llm, profile, tmp_path / "index").add([Document("d", TEXT)])
    return tmp_path / "index"


def fine_tune() -> TransformersModel:
    """The same family, sizes and tokenizer; other keys in the layer that is read."""
    other = tiny_llm()
    torch.manual_seed(5)
    with torch.no_grad():
        torch.nn.init.normal_(other.model.get_decoder().layers[1].self_attn.k_proj.weight, std=0.2)
    return other


def test_the_first_commit_names_the_weights(llm: TransformersModel, folder: Path) -> None:
    manifest = Manifest.read(folder)
    assert manifest is not None
    assert manifest.weights == llm.weights_digest(1)


def test_another_fine_tune_is_refused(
    llm: TransformersModel, profile: Profile, folder: Path
) -> None:
    other = fine_tune()
    with pytest.raises(IndexMismatchError) as caught:
        Engine(other, profile, folder)
    for part in (llm.weights_digest(1)[:12], other.weights_digest(1)[:12], "s3-retriever migrate"):
        assert part in str(caught.value)


def test_a_namespace_is_checked_as_well(
    llm: TransformersModel, profile: Profile, tmp_path: Path
) -> None:
    Engine(llm, profile, tmp_path).namespace("team").add([Document("d", TEXT)])
    with pytest.raises(IndexMismatchError, match="other weights"):
        Engine(fine_tune(), profile, tmp_path).namespace("team")


def test_the_same_weights_in_another_dtype_open_it(profile: Profile, folder: Path) -> None:
    other = tiny_llm()
    other.model.to(torch.bfloat16)
    assert Engine(other, profile, folder).documents.ids() == ["d"]


def test_a_bundle_of_another_fine_tune_is_refused(
    llm: TransformersModel, profile: Profile, tmp_path: Path
) -> None:
    theirs = Engine(fine_tune(), profile)
    theirs.add([Document("d", TEXT)])
    theirs.documents.export_bundle(tmp_path / "bundle")
    ours = Engine(llm, profile)
    with pytest.raises(IndexMismatchError, match="other weights"):
        ours.documents.import_bundle(tmp_path / "bundle")
    assert len(ours.documents) == 0
