"""A profile: what makes one language model a retriever.

It names the layers whose keys are stored, the autoencoders that code them, the heads whose
queries score them and the prompt the question is put in. A folder of JSON and safetensors; one is
shipped with the package, others come from ``s3-retriever train``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ProfileError
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.weights import cache_folder
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.profiles.cards import find_profile, load_card
from s3_retriever.profiles.self_test import Latents
from s3_retriever.quoting import brief, quoted
from s3_retriever.settings import RetrieveSettings

if TYPE_CHECKING:  # a search for words alone has no torch
    import torch

    from s3_retriever.models.families import AttentionLayout
    from s3_retriever.profiles.autoencoder import TopKSae
    from s3_retriever.profiles.query_adapter import QueryAdapter

__all__ = ["Profile"]


@dataclass(frozen=True, repr=False)
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
    _copies: dict[torch.device, Profile] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __repr__(self) -> str:
        """Its name and its model's."""
        return f"Profile({quoted(self.card.name)}, model={quoted(self.card.model)})"

    @classmethod
    def load(cls, name_or_folder: str | Path) -> Profile:
        """Load a shipped profile by name, or any from its folder.

        Raises:
            ProfileError: nothing there, a file is missing, truncated, altered, or of a newer
                schema.
        """
        from s3_retriever.profiles.autoencoder import TopKSae

        folder = find_profile(name_or_folder)
        card = load_card(folder)
        saes = []
        for hookpoint in card.hookpoints:
            sae = TopKSae.load(folder / hookpoint.folder)
            if sha256_of(folder / hookpoint.folder / "sae.safetensors") != hookpoint.sha256:
                raise ProfileError(
                    f"{brief(folder / hookpoint.folder)} is not the autoencoder profile.json was "
                    "made with; copy the profile's folder again, whole"
                )
            d_in = len(hookpoint.kv_heads) * card.head_dim
            if (sae.d_in, sae.n_latents, sae.k) != (d_in, card.n_latents, card.k):
                raise ProfileError(
                    f"the autoencoder in {brief(folder / hookpoint.folder)} has another size than "
                    "profile.json says; train the profile again"
                )
            saes.append(sae)
        return cls(card, tuple(saes), _load_adapter(folder, card))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are read, ascending, each once."""
        return self.card.layers

    @property
    def default_settings(self) -> RetrieveSettings:
        """Every stage's settings, with what was chosen for this model."""
        return self.card.retrieve or RetrieveSettings()

    def resident(
        self,
        model: str | None = None,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        first_layers: bool = False,
    ) -> LanguageModel:
        """The model this profile is for, in memory: one for all of a process that ask for it.

        Args:
            model: other weights of the same model: a hub id, a folder or a ``.gguf`` file.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware has it, else float32.
            first_layers: those that are read are enough
                (:class:`~s3_retriever.models.first_layers.FirstLayers`).

        Raises:
            ModelError: the weights cannot be found or read, or the device cannot be used.
        """
        from s3_retriever.models.shared import shared_model

        return shared_model(
            model or self.card.model,
            revision=self.card.revision if model is None else None,
            device=device,
            dtype=dtype,
            n_layers=self.layers[-1] + 1 if first_layers else None,
        )

    def on(self, device: torch.device) -> Profile:
        """The profile with its autoencoders on a device: itself, or one copy that all share."""
        if all(sae.W_dec.device == device for sae in self.saes):
            return self
        if device not in self._copies:
            saes = tuple(copy.deepcopy(sae).to(device) for sae in self.saes)
            self._copies.setdefault(device, replace(self, saes=saes))
        return self._copies[device]

    def latents_of(self, llm: LanguageModel, text: str) -> Latents:
        """At each hookpoint, the strongest latent of each token of a text.

        Args:
            llm: reads it, behind the profile's prefix.
            text: shorter than the model's window.
        """
        ids = llm.tokenize(text).ids
        prefix = llm.prefix_ids(self.card.chunk_prefix, bos=self.card.bos)
        keys = llm.read_keys([ids], self.layers, prefix)
        found = []
        for index, hookpoint in enumerate(self.card.hookpoints):
            rows = keys[hookpoint.layer][0][:, list(hookpoint.kv_heads)].flatten(1).float()
            codes = self.on(rows.device).saes[index].encode(rows)
            found.append(tuple(codes.ids[:, 0].tolist()))
        return tuple(found)

    def check_llm(self, llm: LanguageModel) -> None:
        """Make sure that ``llm`` is the model this profile was made for.

        Raises:
            ProfileError: another architecture, size, tokenizer or fine-tune, or one that is read
                as nonsense; says which.
        """
        card, layout = self.card, llm.layout
        expected = (card.family, card.n_layers, card.n_heads, card.n_kv_heads, card.head_dim)
        if expected != layout_key(layout):
            raise ProfileError(
                f"profile {quoted(card.name)} is for {brief(card.model)} {expected}, but "
                f"{brief(llm.name)} is "
                f"{layout_key(layout)} (family, layers, heads, key heads, head dimension); "
                "make one with: s3-retriever adopt MODEL ..."
            )
        if card.tokenizer_sha256 != llm.tokenizer_hash():
            raise ProfileError(
                f"profile {quoted(card.name)} was made with the tokenizer of {brief(card.model)}; "
                f"{brief(llm.name)} numbers its tokens differently"
            )
        if card.weights_sha256 is not None:
            self._check_weights(llm, card.weights_sha256)
        test = card.self_test
        if test is not None and (fault := test.fault_of(llm, partial(self.latents_of, llm))):
            raise ProfileError(
                f"{brief(llm.name)} is not read here as when profile {quoted(card.name)} was made: "
                f"{fault}. "
                "Weights or tokenizer are damaged, were converted by a release that read them "
                f"otherwise, or are read so by this one, transformers {version('transformers')} "
                f"(tried: {_tried_releases()}). Remove the converted copy in {cache_folder()}, or "
                "fetch the model again"
            )

    def _check_weights(self, llm: LanguageModel, expected: str) -> None:
        card = self.card
        digest = llm.weights_digest(self.layers[-1])
        if expected != digest:
            raise ProfileError(
                f"profile {quoted(card.name)} was trained on other weights of "
                f"{brief(card.model)} (digest "
                f"{expected[:12]}) than those of {brief(llm.name)} (digest "
                f"{digest[:12]}). "
                "For another fine-tune make one with: s3-retriever adopt MODEL ...; "
                "for the same one rounded to fewer bits remove weights_sha256 from profile.json"
            )


def _tried_releases() -> str:
    """The range of transformers that this package asks for."""
    asked = [need for need in requires("s3-retriever") or () if need.startswith("transformers")]
    return asked[0].split(";")[0]


def _load_adapter(folder: Path, card: ProfileCard) -> QueryAdapter | None:
    if card.query_adapter_sha256 is None:
        return None
    from s3_retriever.profiles.query_adapter import ADAPTER_FILE, QueryAdapter

    adapter = QueryAdapter.load(folder / ADAPTER_FILE)
    if sha256_of(folder / ADAPTER_FILE) != card.query_adapter_sha256:
        raise ProfileError(
            f"{brief(folder / ADAPTER_FILE)} is not the one profile.json was made with; copy the "
            "profile's folder again, whole"
        )
    if adapter.shape != (len(card.heads), card.head_dim):
        raise ProfileError(
            f"{brief(folder / ADAPTER_FILE)} is for {adapter.shape[0]} heads of {adapter.shape[1]} "
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
