"""A profile: what makes one language model a retriever.

It names the layers whose keys are stored, the autoencoders that code them, the heads whose
queries score them and the prompt the question is put in. A folder of JSON and safetensors; one is
shipped with the package, others come from ``s3-retriever train``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s3_retriever.adapter import ADAPTER_FILE, QueryAdapter
from s3_retriever.config import FusionSettings
from s3_retriever.errors import ProfileError
from s3_retriever.generator.families import AttentionLayout
from s3_retriever.generator.generator import Generator
from s3_retriever.generator.weights import sha256_of
from s3_retriever.sae.topk import TopKSae

__all__ = ["SCHEMA", "Head", "Hookpoint", "Profile", "ProfileCard", "shipped_profiles"]

SCHEMA = 1
"""Version of the profile format."""

_READ_WITH_A_QUESTION = {"heads", "query_adapter_sha256", "fusion", "question_prompt"}
"""Fields that stored codes do not depend on."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Hookpoint(_Record):
    """One place of the model whose keys are coded, and the autoencoder that codes them."""

    layer: int = Field(ge=0)
    kv_heads: tuple[int, ...] = Field(min_length=1)
    """The key heads whose concatenation is the autoencoder's input; all of them as published."""
    activation_scale: float = Field(gt=0)
    """Activation of one step of the stored uint8."""
    fvu: float
    """Fraction of variance unexplained on held-out text."""
    dead_fraction: float
    """Share of latents that held-out text never activates."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of ``sae.safetensors``."""

    @property
    def folder(self) -> str:
        """Name of the autoencoder's folder, in sparsify's way."""
        return hookpoint_folder(self.layer, self.kv_heads)


class Head(_Record):
    """A query head that scores tokens, and its weight."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)
    weight: float = 1.0


class ProfileCard(_Record):
    """The contents of ``profile.json``."""

    schema_version: int = SCHEMA
    name: str
    model: str
    """Hub id the profile was made with; the default source of the weights."""
    revision: str | None = None
    family: str
    n_layers: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    n_kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    tokenizer_sha256: str
    chunk_prefix: str = Field(default="Document:\n", min_length=1)
    """Read before each chunk and left out: it takes the attention sinks, so that every token of
    the document can be coded."""
    bos: bool = False
    """Whether the model's beginning-of-text token stands before the prefix and the question."""
    k: int = Field(ge=1, le=65535)
    """Active latents per token and hookpoint."""
    n_latents: int = Field(ge=1)
    hookpoints: tuple[Hookpoint, ...] = Field(min_length=1)
    heads: tuple[Head, ...] = ()
    """Empty: ``attention`` scoring is not available."""
    query_adapter_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of ``query_adapter.safetensors``; ``None``: queries are used as the model projects them."""
    fusion: FusionSettings | None = None
    """Weights of the legs learned for this model; ``None``: the default ones."""
    question_prompt: tuple[str, str] = ("Question: {question}\n", "Question: {question}\nAnswer:")
    """Queries are read from the second part only; repeating the question lets every token of it
    see the whole of it."""
    training: Mapping[str, Any] = {}
    """How it was made: the command and its settings."""

    @model_validator(mode="after")
    def _consistent(self) -> ProfileCard:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} heads cannot share {self.n_kv_heads} key heads")
        group = self.n_heads // self.n_kv_heads
        named = [(h.layer, g) for h in self.hookpoints for g in h.kv_heads]
        layers = set(named)
        if len(layers) < len(named):
            raise ValueError("a key head is coded twice")
        for layer, kv_head in layers:
            if layer >= self.n_layers or not 0 <= kv_head < self.n_kv_heads:
                raise ValueError(f"layer {layer}, key head {kv_head} is outside the model")
        for head in self.heads:
            if (head.layer, head.head // group) not in layers:
                raise ValueError(f"head {head.layer}.{head.head} reads keys that are not coded")
        if any("{question}" not in part for part in self.question_prompt):
            raise ValueError("both parts of question_prompt must contain {question}")
        return self


@dataclass(frozen=True)
class Profile:
    """A profile with its autoencoders loaded.

    Example:
        >>> profile = Profile.load("smollm2-135m-instruct")
        >>> profile.card.model
        'HuggingFaceTB/SmolLM2-135M-Instruct'
    """

    card: ProfileCard
    saes: tuple[TopKSae, ...]
    """One for each of ``card.hookpoints``."""
    adapter: QueryAdapter | None = None
    """For the queries of ``card.heads``."""

    @classmethod
    def load(cls, name_or_folder: str | Path) -> Profile:
        """Load a shipped profile by name, or any from its folder.

        Raises:
            ProfileError: nothing there, a file is missing, truncated, altered, or of a newer
                schema.
        """
        folder = _find(name_or_folder)
        try:
            record = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
            if not isinstance(record, dict):
                raise ValueError("profile.json holds no object")
            if record.get("schema_version") != SCHEMA:
                raise ProfileError(
                    f"profile {folder} has schema version {record.get('schema_version')}, this "
                    f"release reads {SCHEMA}; upgrade s3-retriever or train the profile again"
                )
            card = ProfileCard.model_validate(record)
        except (OSError, ValueError, ValidationError) as e:
            raise ProfileError(f"{folder / 'profile.json'} cannot be read: {e}") from e
        saes = []
        for hookpoint in card.hookpoints:
            sae = TopKSae.load(folder / hookpoint.folder)
            if sha256_of(folder / hookpoint.folder / "sae.safetensors") != hookpoint.sha256:
                raise ProfileError(
                    f"{folder / hookpoint.folder} is not the autoencoder profile.json was made "
                    "with; copy the profile's folder again, whole"
                )
            d_in = len(hookpoint.kv_heads) * card.head_dim
            if (sae.d_in, sae.n_latents, sae.k) != (d_in, card.n_latents, card.k):
                raise ProfileError(
                    f"the autoencoder in {folder / hookpoint.folder} has another size than "
                    "profile.json says; train the profile again"
                )
            saes.append(sae)
        return cls(card, tuple(saes), _load_adapter(folder, card))

    @property
    def layers(self) -> tuple[int, ...]:
        """The tapped layers, ascending, each once."""
        return tuple(sorted({h.layer for h in self.card.hookpoints}))

    @property
    def fingerprint(self) -> str:
        """Digest of everything stored codes depend on.

        Heads, weights, the query adapter and the question's prompt are left out: they are read
        when a question is asked, so calibrating them anew leaves an index valid.
        """
        card = self.card.model_dump(
            mode="json", exclude=_READ_WITH_A_QUESTION | {"name", "training"}
        )
        return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()

    def check_generator(self, generator: Generator) -> None:
        """Make sure that ``generator`` is the model this profile was made for.

        Raises:
            ProfileError: another architecture, size or tokenizer; says which.
        """
        card, layout = self.card, generator.layout
        expected = (card.family, card.n_layers, card.n_heads, card.n_kv_heads, card.head_dim)
        if expected != layout_key(layout):
            raise ProfileError(
                f"profile {card.name!r} is for {card.model} {expected}, but {generator.name} is "
                f"{layout_key(layout)} (family, layers, heads, key heads, head dimension); "
                "make one with: s3-retriever train --model ..."
            )
        if card.tokenizer_sha256 != generator.tokenizer_hash():
            raise ProfileError(
                f"profile {card.name!r} was made with the tokenizer of {card.model}; "
                f"{generator.name} numbers its tokens differently"
            )


def _load_adapter(folder: Path, card: ProfileCard) -> QueryAdapter | None:
    if card.query_adapter_sha256 is None:
        return None
    adapter = QueryAdapter.load(folder / ADAPTER_FILE)
    if sha256_of(folder / ADAPTER_FILE) != card.query_adapter_sha256:
        raise ProfileError(
            f"{folder / ADAPTER_FILE} is not the one profile.json was made with; copy the "
            "profile's folder again, whole"
        )
    if adapter.shape != (len(card.heads), card.head_dim):
        raise ProfileError(
            f"{folder / ADAPTER_FILE} is for {adapter.shape[0]} heads of {adapter.shape[1]} "
            f"dimensions, the profile has {len(card.heads)} of {card.head_dim}"
        )
    return adapter


def layout_key(layout: AttentionLayout) -> tuple[str, int, int, int, int]:
    """The part of a layout that a profile records."""
    return (
        layout.family,
        layout.n_layers,
        layout.n_heads,
        layout.n_kv_heads,
        layout.head_dim,
    )


def hookpoint_folder(layer: int, kv_heads: tuple[int, ...]) -> str:
    """``layers.17.self_attn.k_proj.0-1-2``: sparsify's hookpoint name and the key heads."""
    return f"layers.{layer}.self_attn.k_proj.{'-'.join(map(str, kv_heads))}"


def shipped_profiles() -> dict[str, Path]:
    """Profiles inside the package, by name."""
    root = Path(str(resources.files("s3_retriever"))) / "data" / "profiles"
    return {p.parent.name: p.parent for p in sorted(root.glob("*/profile.json"))}


def _find(name_or_folder: str | Path) -> Path:
    shipped = shipped_profiles()
    if str(name_or_folder) in shipped:
        return shipped[str(name_or_folder)]
    folder = Path(name_or_folder).expanduser()
    if not (folder / "profile.json").is_file():
        raise ProfileError(
            f"no profile {str(name_or_folder)!r}: it is neither shipped ({', '.join(shipped)}) "
            "nor a folder with a profile.json; make one with: s3-retriever train --model ..."
        )
    return folder
