"""Documents with random codes: what a contract suite of storage or search puts in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from s3_retriever.text import find_bounds
from s3_retriever.types import Document, EncodedDocument

__all__ = ["ACTIVE", "N_HOOKPOINTS", "N_LATENTS", "encode_randomly", "sample_documents"]

N_HOOKPOINTS = 2
N_LATENTS = 64
ACTIVE = 4
"""Latents of a token and hookpoint."""


def encode_randomly(doc_id: str, text: str, *, seed: int = 0, **metadata: Any) -> EncodedDocument:
    """A document of which every word with the space behind it is a token, with random codes.

    Example:
        >>> encoded = encode_randomly("d", "Red roses")
        >>> encoded.starts.tolist(), encoded.ends.tolist(), encoded.ids.shape
        ([0, 4], [4, 9], (2, 2, 4))
    """
    ends = [*(i + 1 for i, character in enumerate(text[:-1]) if character == " "), len(text)]
    shape = (len(ends), N_HOOKPOINTS)
    rng = np.random.default_rng(seed)
    shuffled = rng.random((*shape, N_LATENTS)).argsort(axis=-1)  # no latent twice at a token
    activations = rng.integers(1, 255, (*shape, ACTIVE), dtype=np.uint8)
    return EncodedDocument(
        document=Document(doc_id, text, metadata),
        starts=np.array([0, *ends[:-1]], np.uint32),
        ends=np.array(ends, np.uint32),
        ids=shuffled[..., :ACTIVE].astype(np.uint16),
        activations=np.sort(activations, axis=-1)[..., ::-1].copy(),
        bounds=find_bounds(text),
    )


def sample_documents() -> Sequence[EncodedDocument]:
    """Eight documents of one token to several blocks, with metadata that are easily mistaken.

    Words that tell documents apart: ``roses``, ``sky``, ``Köln``, ``w0`` to ``w299`` in ``long``.
    """
    return [
        encode_randomly("roses", "Red roses need water and sun", seed=1, flag=1, lang="en"),
        encode_randomly("sky", "The sky is blue. Scattering!\n\nThe sky.", seed=2, flag=True),
        encode_randomly("one", "Word", seed=3, flag=1.0, tags=["a", "b"]),
        encode_randomly("long", " ".join(f"w{n}" for n in range(300)), seed=4, lang="en"),
        encode_randomly("Köln/ü?", "Köln 👩🏽‍🚀 ist eine Stadt", seed=5, lang="de", flag=False),
        encode_randomly("block", " ".join(["block"] * 64), seed=6, lang="en"),
        encode_randomly("more", " ".join(["block"] * 65) + " roses", seed=7, lang="de"),
        encode_randomly("last", "One. Two three.\r\n\r\nFour five six", seed=8, flag=0),
    ]
