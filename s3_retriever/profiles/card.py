"""The card of a profile: all that ``profile.json`` says, without the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s3_retriever.profiles.self_test import SelfTest
from s3_retriever.settings import RetrieveSettings

__all__ = ["SCHEMA", "Head", "Hookpoint", "ProfileCard", "hookpoint_folder"]

SCHEMA = 1
"""Version of the profile format."""

_MAX_SIZE = 65_535
"""Of what a model has so many of: layers, heads, dimensions of a head, active latents."""
_MAX_PROMPT = 4096
"""Characters of what is put around a text or a question."""
_Prompt = Annotated[str, Field(max_length=_MAX_PROMPT)]

_DECIDE_CODES = {
    "family",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "head_dim",
    "tokenizer_sha256",
    "chunk_prefix",
    "bos",
    "k",
    "n_latents",
}
"""Fields of the card that stored codes depend on, besides those of its hookpoints."""
_HOOKPOINTS_DECIDE = {"layer", "kv_heads", "activation_scale", "sha256"}

_OF_SCHEMA_1 = _DECIDE_CODES | {"model", "revision"}
"""Fields that went into the fingerprint of an index up to schema version 2."""
_HOOKPOINTS_OF_SCHEMA_1 = _HOOKPOINTS_DECIDE | {"fvu", "dead_fraction"}


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


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
    n_layers: int = Field(ge=1, le=_MAX_SIZE)
    n_heads: int = Field(ge=1, le=_MAX_SIZE)
    n_kv_heads: int = Field(ge=1, le=_MAX_SIZE)
    head_dim: int = Field(ge=1, le=_MAX_SIZE)
    tokenizer_sha256: str
    chunk_prefix: str = Field(default="Document:\n", min_length=1, max_length=_MAX_PROMPT)
    """Read before each chunk and left out: it takes the attention sinks, so that every token of
    the document can be coded."""
    bos: bool = False
    """Whether the model's beginning-of-text token stands before the prefix and the question."""
    k: int = Field(ge=1, le=_MAX_SIZE)
    """Active latents per token and hookpoint."""
    n_latents: int = Field(ge=1, le=1 << 24)
    hookpoints: tuple[Hookpoint, ...] = Field(min_length=1)
    weights_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """``weights_digest`` of the model it was trained on, up to the last layer that is read: other
    fine-tunes are refused. ``None`` allows any weights of this shape: those of the profile that is
    shipped come from the hub or, rounded to four bits, from a GGUF file."""
    self_test: SelfTest | None = None
    """A known text, its token ids and the token after it, which every model that is loaded has to
    find; ``None`` in cards of release 0.1."""
    heads: tuple[Head, ...] = ()
    """Empty: ``attention`` scoring is not available."""
    query_adapter_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of ``query_adapter.safetensors``; ``None``: queries are used as the model projects them."""
    retrieve: RetrieveSettings | None = None
    """What was chosen for this model between a question and its spans: the statistic that makes
    passages of tokens, the width of the convolution, the null question, the weights of the legs;
    ``None``: the neutral defaults."""
    presets: Mapping[str, str] = {}
    """The mode to use by type of device (``cpu``, ``cuda``), where one was measured."""
    report: Mapping[str, Any] = {}
    """The report card: what the profile is worth on questions nothing was learned from."""
    question_prompt: tuple[_Prompt, _Prompt] = (
        "Question: {question}\n",
        "Question: {question}\nAnswer:",
    )
    """Queries are read from the second part only; repeating the question lets every token of it
    see the whole of it."""
    training: Mapping[str, Any] = {}
    """How it was made: the command and its settings."""

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        """Take ``fusion``, which cards of release 0.1 had, for the settings it belongs to."""
        if not isinstance(data, Mapping) or "fusion" not in data:
            return data
        others = {name: value for name, value in data.items() if name != "fusion"}
        if data["fusion"] is not None and others.get("retrieve") is None:
            others["retrieve"] = {"fusion": data["fusion"]}
        return others

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are read, ascending, each once."""
        return tuple(sorted({h.layer for h in self.hookpoints}))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the stored codes, but for the model's weights.

        That is a list of names: whatever else the card says, or will say one day, is read when a
        question is asked or is there for people, and an index stays valid when it changes.
        """
        return self._digest(self._selected(_DECIDE_CODES, _HOOKPOINTS_DECIDE))

    @property
    def legacy_fingerprint(self) -> str:
        """What releases before index schema 3 wrote: of the model's name and the losses, too."""
        record = self._selected(_OF_SCHEMA_1, _HOOKPOINTS_OF_SCHEMA_1)
        return self._digest({**record, "schema_version": 1})

    def made(self, fingerprint: str) -> bool:
        """Whether codes of this fingerprint are those of a profile with this card."""
        return fingerprint in (self.fingerprint, self.legacy_fingerprint)

    def _selected(self, fields: set[str], of_hookpoints: set[str]) -> dict[str, Any]:
        record = self.model_dump(mode="json", include=fields)
        hookpoints = [h.model_dump(mode="json", include=of_hookpoints) for h in self.hookpoints]
        return {**record, "hookpoints": hookpoints}

    @staticmethod
    def _digest(record: Mapping[str, Any]) -> str:
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _consistent(self) -> ProfileCard:
        if self.k > self.n_latents:
            raise ValueError(f"{self.k} of {self.n_latents} latents cannot be active")
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


def hookpoint_folder(layer: int, kv_heads: tuple[int, ...]) -> str:
    """``layers.17.self_attn.k_proj.0-1-2``: sparsify's hookpoint name and the key heads."""
    return f"layers.{layer}.self_attn.k_proj.{'-'.join(map(str, kv_heads))}"
