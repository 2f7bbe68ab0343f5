"""Codes without a model: random, but of the right shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.card import Hookpoint, ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.text import find_bounds
from s3_retriever.types import Document, EncodedDocument

N_LATENTS = 64
K = 4
HOOKPOINTS = 2


def code(doc_id: str, text: str, seed: int = 0, **metadata: Any) -> EncodedDocument:
    """A document of which every word with its space is a token, with random codes."""
    ends = [i + 1 for i, c in enumerate(text) if c == " "]
    ends = [*ends, len(text)] if not ends or ends[-1] != len(text) else ends
    starts = [0, *ends[:-1]]
    n = len(starts)
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, N_LATENTS, (n, HOOKPOINTS, K), dtype=np.uint16)
    activations = rng.integers(1, 255, (n, HOOKPOINTS, K), dtype=np.uint8)
    return EncodedDocument(
        document=Document(doc_id, text, metadata),
        starts=np.array(starts, np.uint32),
        ends=np.array(ends, np.uint32),
        ids=ids,
        activations=activations,
        bounds=find_bounds(text),
    )


def random_profile(seed: int = 0) -> Profile:
    """A profile with random autoencoders; ``seed`` makes another one."""
    hookpoints = tuple(
        Hookpoint(
            layer=layer,
            kv_heads=(0,),
            activation_scale=0.1,
            fvu=0.1,
            dead_fraction=0.0,
            sha256=f"{seed:064x}",
        )
        for layer in range(HOOKPOINTS)
    )
    card = ProfileCard(
        name=f"test-{seed}",
        model="test/model",
        family="llama",
        n_layers=2,
        n_heads=2,
        n_kv_heads=1,
        head_dim=8,
        tokenizer_sha256="0" * 64,
        k=K,
        n_latents=N_LATENTS,
        hookpoints=hookpoints,
    )
    return Profile(card, tuple(TopKSae(8, N_LATENTS, K) for _ in range(HOOKPOINTS)))


@pytest.fixture
def make_profile() -> Callable[..., Profile]:
    return random_profile


@pytest.fixture
def profile() -> Profile:
    """The usual one."""
    return random_profile()


def random_card(seed: int = 0) -> ProfileCard:
    """The card of :func:`random_profile`."""
    return random_profile(seed).card


@pytest.fixture
def make_card() -> Callable[..., ProfileCard]:
    return random_card


@pytest.fixture
def card() -> ProfileCard:
    """The usual one."""
    return random_card()
