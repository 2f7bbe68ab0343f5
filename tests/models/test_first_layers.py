"""The first layers alone compute what they compute in the whole model, and say what they lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine import Engine
from s3_retriever.errors import InputError, ModelError, NotLoadedError, ProfileError
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.first_layers import FirstLayers
from s3_retriever.models.shared import shared_model
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.testing.models import KeyReaderContract, QueryReaderContract
from s3_retriever.testing.runners import ScanRunnerContract, assert_equal
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(folder: Path, family: str = "llama", **overrides: Any) -> str:
    """A tiny model on disk; its head is another matrix than its embedding."""
    llm = tiny_llm(family, **{"tie_word_embeddings": False, **overrides})
    llm.model.save_pretrained(folder)
    llm.tokenizer.save_pretrained(folder)
    return str(folder)


def both(folder: str, n: int, **options: Any) -> tuple[TransformersModel, FirstLayers]:
    options = {"device": "cpu", "dtype": torch.float32, **options}
    return TransformersModel.load(folder, **options), FirstLayers.load(folder, n, **options)


class TestFirstLayersOfAllFamilies(KeyReaderContract, QueryReaderContract):
    special_tokens = ("<|end|>",)

    @pytest.fixture(scope="class", params=SUPPORTED)
    def llm(
        self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> FirstLayers:
        n_layers = tiny_llm(request.param).layout.n_layers
        folder = saved(tmp_path_factory.mktemp("model"), request.param)
        return FirstLayers.load(folder, n_layers, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", SUPPORTED)
def test_the_same_to_the_last_bit(
    tmp_path: Path, family: str, dtype: torch.dtype, tied: bool
) -> None:
    folder = saved(tmp_path, family, tie_word_embeddings=tied)
    whole, part = both(folder, 2, dtype=dtype)
    assert (part.n_loaded, part.layout, part.window) == (2, whole.layout, whole.window)
    chunks = [whole.tokenize(text).ids for text in TEXT.splitlines()]
    prefix = whole.prefix_ids("Document:\n", bos=False)
    for read, reference in (
        (part.read_keys(chunks, [0, 1], prefix), whole.read_keys(chunks, [0, 1], prefix)),
        (part.read_queries(chunks, [0, 1]), whole.read_queries(chunks, [0, 1])),
    ):
        for layer in (0, 1):
            for mine, theirs in zip(read[layer], reference[layer], strict=True):
                assert torch.equal(mine, theirs)
    assert part.weights_digest(1) == whole.weights_digest(1)
    assert part.tokenizer_hash() == whole.tokenizer_hash()


@pytest.mark.parametrize("family", SUPPORTED)
def test_so_are_codes(tmp_path: Path, family: str) -> None:
    whole, part = both(saved(tmp_path / "model", family), 2)
    profile = Profile.load(write_profile(tmp_path / "profile", whole))
    profile.check_llm(part)
    documents = ScanRunnerContract.documents(12)
    settings = ScanSettings(chunk_tokens=24, batch_tokens=64)
    mine, theirs = (list(Scanner(llm, profile, settings).scan(documents)) for llm in (part, whole))
    assert_equal(mine, theirs)


def test_so_are_codes_of_the_real_model(llm: TransformersModel) -> None:
    profile = Profile.load("smollm2-135m-instruct")
    part = FirstLayers.load(llm.name, profile.layers[-1] + 1)
    profile.check_llm(part)
    documents = ScanRunnerContract.documents(3)
    mine, theirs = (
        list(Scanner(model, profile, ScanSettings()).scan(documents)) for model in (part, llm)
    )
    assert_equal(mine, theirs)
    assert part.weight_bytes / llm.weight_bytes == pytest.approx(0.7105, abs=1e-4)  # 19 of 30


@pytest.mark.parametrize("family", SUPPORTED)
def test_only_what_is_needed_is_held(tmp_path: Path, family: str) -> None:
    whole, part = both(saved(tmp_path, family), 1)
    names = {name.removeprefix("model."): p.numel() for name, p in whole.model.named_parameters()}
    later = ("layers.1.", "layers.2.", "lm_head.")
    needed = {name: size for name, size in names.items() if not name.startswith(later)}
    assert {name: p.numel() for name, p in part.model.named_parameters()} == needed
    assert part.weight_bytes == 4 * sum(needed.values()) == part.describe()["weight_bytes"]


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    assert FirstLayers.load(folder, 99, device="cpu").n_loaded == 3
    with pytest.raises(InputError, match="at least one layer"):
        FirstLayers.load(folder, 0)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    part = FirstLayers.load(saved(tmp_path), 1, device="cpu")
    ids = part.tokenize("Who?").ids
    nothing = np.zeros(0, np.int32)
    for asked in (
        lambda: part.read_keys([ids], [0, 1], nothing),
        lambda: part.read_queries([ids], [1]),
        lambda: part.project([ids], [2]),
        lambda: part.weights_digest(1),
        lambda: part.question_log_likelihoods([ids], "Who?"),
        lambda: part.chat_ids([{"role": "user", "content": "Who?"}]),
        lambda: part.stream(ids.tolist()),
    ):
        with pytest.raises(NotLoadedError, match=r"first 1 of 3 layers.*load the whole model"):
            asked()


def test_weights_that_a_file_lacks_are_not_made_up(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.2.self_attn.k_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert FirstLayers.load(folder, 2, device="cpu").n_loaded == 2
    with pytest.raises(ModelError, match=r"lacks weights .*layers\.2\.self_attn\.k_proj"):
        FirstLayers.load(folder, 3, device="cpu")


def test_a_known_text_has_known_features(llm: TransformersModel) -> None:
    """The next token takes all layers; without them nonsense is told all the same."""
    profile = Profile.load("smollm2-135m-instruct")
    part = FirstLayers.load(llm.name, 19)
    profile.check_llm(part)
    up, other = (part.model.layers[n].mlp.up_proj.weight for n in (1, 2))
    with torch.no_grad():
        former = up.clone()
        up.copy_(other)
        other.copy_(former)
    with pytest.raises(ProfileError, match=r"other features: \d+% of the strongest are the same"):
        profile.check_llm(part)


def test_other_weights_are_told_by_their_digest(tmp_path: Path) -> None:
    whole, _ = both(saved(tmp_path / "model"), 2)
    profile = Profile.load(write_profile(tmp_path / "profile", whole))
    card = profile.card.model_copy(update={"weights_sha256": whole.weights_digest(1)})
    other = saved(tmp_path / "other", seed=1)
    for folder, refused in ((str(tmp_path / "model"), False), (other, True)):
        part = FirstLayers.load(folder, 2, device="cpu", dtype=torch.float32)
        trained = Profile(card, profile.saes)
        if refused:
            with pytest.raises(ProfileError, match="other weights"):
                trained.check_llm(part)
        else:
            trained.check_llm(part)


# An engine


def test_an_engine_of_first_layers_reads_and_searches(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", max_position_embeddings=4096)
    whole, _ = both(folder, 2)
    profile = write_profile(tmp_path / "profile", whole)
    options: dict[str, Any] = {"model": folder, "device": "cpu", "dtype": torch.float32}
    part = Engine.from_profile(profile, tmp_path / "i", **options, first_layers=True)
    assert isinstance(part.llm, FirstLayers)
    assert part.llm.n_loaded == 2
    part.add([TEXT])
    reference = Engine.from_profile(profile, tmp_path / "i", **options)
    assert isinstance(reference.llm, TransformersModel)
    question = "When was the lighthouse finished?"
    for mode in ("fast", "features", "bm25"):
        found = [span.to_dict() for span in part.retrieve(question, mode=mode)]
        assert found == [span.to_dict() for span in reference.retrieve(question, mode=mode)]
    for ask in (part.retrieve, lambda q: part.retrieve(q, mode="hybrid"), part.answer):
        with pytest.raises(NotLoadedError):
            ask(question)


def test_a_whole_model_in_memory_is_first_layers_too(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    part = shared_model(folder, n_layers=2, device="cpu")
    assert shared_model(folder, n_layers=2, device="cpu") is part
    assert shared_model(folder, n_layers=1, device="cpu") is not part
    whole = shared_model(folder, device="cpu")
    assert isinstance(whole, TransformersModel)
    assert shared_model(folder, n_layers=2, device="cpu") is whole
