"""Bringing a model and its tokenizer into memory: where to, and in which dtype."""

from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from s3_retriever.errors import ModelError
from s3_retriever.models.families import AttentionLayout, layout_of
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.weights import find_weights
from s3_retriever.quoting import brief, quoted, why

__all__ = [
    "UNREADABLE",
    "best_device",
    "best_dtype",
    "load_first_layers",
    "load_pretrained",
    "load_tokenizer",
]


UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    ImportError,
    struct.error,
    SafetensorError,
)
"""What files that are no model can have transformers and its readers raise on the way."""


def load_pretrained(
    model: str,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, both of :mod:`transformers`.

    Args:
        model: where the weights are (see :func:`~s3_retriever.models.weights.find_weights`).
        revision: a hub revision.
        device: by default the first GPU, else the CPU.
        dtype: by default bfloat16 where the hardware computes with it, else float32.

    Raises:
        ModelError: the weights cannot be found or read, the family is unknown, or the device
            cannot be used.
    """
    loaded, tokenizer, _ = _load(model, None, revision, device, dtype)
    return loaded, tokenizer


def load_first_layers(
    model: str,
    n: int,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Any, Any, AttentionLayout]:
    """The embedding and the first layers of a model, its tokenizer, and the whole model's layout.

    Later layers and a head that is not the embedding again are not read from the file. What the
    layers compute is what they compute in the whole model, to the last bit.

    Args:
        model: where the weights are (see :func:`~s3_retriever.models.weights.find_weights`).
        n: how many layers; of a model that has fewer, all.
        revision: a hub revision.
        device: by default the first GPU, else the CPU.
        dtype: by default bfloat16 where the hardware computes with it, else float32.

    Raises:
        ModelError: the weights cannot be found or read, the family is unknown, or the device
            cannot be used.
    """
    return _load(model, n, revision, device, dtype)


def _load(
    model: str,
    n: int | None,
    revision: str | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
) -> tuple[Any, Any, AttentionLayout]:
    """All layers with the head, or the first ``n`` without."""
    import transformers

    folder = find_weights(model, revision=revision)
    chosen = _usable(device) if device is not None else best_device()
    with quiet_transformers():
        try:
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
            layout = layout_of(config.get_text_config())  # before gigabytes are read
            tokenizer = load_tokenizer(folder)
            loader: Any = transformers.AutoModelForCausalLM
            if n is not None:
                if config is config.get_text_config():  # a model of pictures, too, stays one
                    loader = transformers.AutoModel
                config = _with_layers(config, min(n, layout.n_layers))
            loaded, found = loader.from_pretrained(
                folder,
                config=config,
                dtype=dtype or best_dtype(chosen),
                use_safetensors=True,
                trust_remote_code=False,  # else a folder with code has it ask at the terminal
                output_loading_info=True,
            )
        except UNREADABLE as e:
            raise ModelError(
                f"{brief(folder)} cannot be loaded as a language model: {why(e)}"
            ) from e
    if n is not None and found["missing_keys"]:  # transformers makes up what a file lacks
        lacks = min(found["missing_keys"])
        raise ModelError(f"{brief(folder)} lacks weights of its first layers: {brief(lacks)}")
    module: Any = loaded  # transformers' annotation of .to() does not type-check
    return module.to(chosen), tokenizer, layout


def _with_layers(config: Any, n: int) -> Any:
    """A copy of a configuration, with so many layers."""
    cut = copy.deepcopy(config)
    text = cut.get_text_config()
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types[:n])
    text.num_hidden_layers = n
    return cut


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder, as its ``tokenizer.json`` says it.

    The class that ``tokenizer_config.json`` names builds another one from the same files where a
    release of transformers knows better: a GGUF file's, converted by 5.2 and loaded so by 5.24,
    cuts a text into single letters. What the file holds is the same in all releases.

    Args:
        folder: in transformers' format.
    """
    import transformers

    whole = (folder / "tokenizer.json").exists()
    loader = transformers.PreTrainedTokenizerFast if whole else transformers.AutoTokenizer
    return loader.from_pretrained(folder, trust_remote_code=False)


def best_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, else float32 (it is slower where emulated)."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.backends.mkldnn.is_available() and (
            torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
    return torch.bfloat16 if fast else torch.float32


def _usable(device: str | torch.device) -> torch.device:
    """Make sure that tensors can be put on ``device``, before anything is loaded."""
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as e:
        reason = str(e).splitlines()[0]
        raise ModelError(
            f"device {quoted(str(device))} cannot be used: {reason}; try cpu, or leave it out"
        ) from e
    return chosen
