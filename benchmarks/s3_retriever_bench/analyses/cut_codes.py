"""Codes as if fewer places had been coded, or with fewer latents: cut, not read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from s3_retriever.profiles.profile import Profile
from s3_retriever.types import EncodedDocument

__all__ = ["cut_codes", "cut_profile"]


def cut_profile(profile: Profile, hookpoints: Sequence[int], k: int | None = None) -> Profile:
    """A profile with some hookpoints, and with the heads that read them.

    Args:
        profile: with all of them; a query adapter is left out.
        hookpoints: numbers of those that stay, ascending.
        k: active latents a token; ``None`` keeps the profile's.
    """
    card = profile.card
    kept = [card.hookpoints[n] for n in hookpoints]
    coded = {(h.layer, kv_head) for h in kept for kv_head in h.kv_heads}
    group = card.n_heads // card.n_kv_heads
    heads = [h for h in card.heads if (h.layer, h.head // group) in coded]
    changed = {"hookpoints": tuple(kept), "heads": tuple(heads), "k": k or card.k}
    return Profile(
        card.model_copy(update=changed | {"query_adapter_sha256": None}),
        tuple(profile.saes[n] for n in hookpoints),
    )


def cut_codes(
    coded: Sequence[EncodedDocument], hookpoints: Sequence[int], k: int | None = None
) -> list[EncodedDocument]:
    """The codes of :func:`cut_profile`: of some hookpoints, the strongest ``k`` latents.

    Args:
        coded: documents with all of them.
        hookpoints: numbers of those that stay.
        k: active latents a token; ``None`` keeps all.
    """
    return [
        replace(
            c,
            ids=np.ascontiguousarray(c.ids[:, list(hookpoints), :k]),
            activations=np.ascontiguousarray(c.activations[:, list(hookpoints), :k]),
        )
        for c in coded
    ]
