"""Small random models, a small tokenizer and small profiles: built in memory, exact in float32."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.llama import LlamaConfig
from transformers.models.mistral import MistralConfig
from transformers.models.phi3 import Phi3Config
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config

from s3_retriever.checksums import sha256_of
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.card import Head, Hookpoint, ProfileCard

VOCABULARY = 320

# Rotary embeddings pair dimensions up, so no head dimension is odd; where a family lets it be
# chosen it is not hidden_size / heads. Gemma's scale is not the head dimension either, and a
# window of 8 makes sliding attention matter in a text of a dozen tokens.
_CONFIGS: dict[str, tuple[type, dict[str, Any]]] = {
    "llama": (LlamaConfig, {"head_dim": 10, "attention_bias": True}),
    "mistral": (MistralConfig, {"head_dim": 10, "sliding_window": 8}),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {"head_dim": 10}),
    "gemma3_text": (
        Gemma3TextConfig,
        {
            "head_dim": 10,
            "query_pre_attn_scalar": 7,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "phi3": (Phi3Config, {"pad_token_id": 0}),
}

TEXT = (
    "The lighthouse on Skerry Point was finished in 1887. Its lamp burned whale oil until 1911.\n"
    "Sourdough needs no bought yeast; flour and water are left to ferment for about a week.\n"
)


def tiny_model(family: str, *, seed: int = 0, **overrides: Any) -> Any:
    """A random float32 model of ``family``: 3 layers, 6 query heads, 2 key heads."""
    config_class, own = _CONFIGS[family]
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    config = config_class(**{**sizes, **own, **overrides})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms start as all ones and biases as all zeros
                parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


@functools.cache
def _backend() -> str:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    text: str = tokenizer.to_str()
    return text


def tiny_tokenizer(*, renumbered: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of :data:`VOCABULARY` tokens; any text is a list of its tokens.

    ``renumbered`` swaps the numbers of two tokens.
    """
    record = json.loads(_backend())
    if renumbered:
        numbers = record["model"]["vocab"]
        numbers["a"], numbers["b"] = numbers["b"], numbers["a"]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(record)), eos_token="<|end|>"
    )


def tiny_llm(family: str = "llama", *, seed: int = 0, **overrides: Any) -> TransformersModel:
    """A :func:`tiny_model` with the :func:`tiny_tokenizer`."""
    model = tiny_model(family, seed=seed, **overrides)
    return TransformersModel(model, tiny_tokenizer(), f"tiny-{family}")


def write_profile(
    folder: Path,
    llm: TransformersModel,
    *,
    sites: tuple[tuple[int, tuple[int, ...]], ...] = ((1, (0, 1)),),
    heads: tuple[tuple[int, int], ...] = ((1, 4),),
    n_latents: int = 64,
    k: int = 4,
) -> Path:
    """A profile of ``llm`` with random autoencoders, as ``s3-retriever train`` writes it."""
    layout = llm.layout
    torch.manual_seed(1)
    hookpoints = []
    for layer, kv_heads in sites:
        blank = Hookpoint(
            layer=layer,
            kv_heads=kv_heads,
            activation_scale=0.02,
            fvu=0.5,
            dead_fraction=0.0,
            sha256="0" * 64,
        )
        TopKSae(len(kv_heads) * layout.head_dim, n_latents, k).save(folder / blank.folder)
        digest = sha256_of(folder / blank.folder / "sae.safetensors")
        hookpoints.append(blank.model_copy(update={"sha256": digest}))
    card = ProfileCard(
        name="tiny",
        model=llm.name,
        family=layout.family,
        n_layers=layout.n_layers,
        n_heads=layout.n_heads,
        n_kv_heads=layout.n_kv_heads,
        head_dim=layout.head_dim,
        tokenizer_sha256=llm.tokenizer_hash(),
        k=k,
        n_latents=n_latents,
        hookpoints=tuple(hookpoints),
        heads=tuple(Head(layer=layer, head=head) for layer, head in heads),
    )
    (folder / "profile.json").write_text(json.dumps(card.model_dump(mode="json")))
    return folder
