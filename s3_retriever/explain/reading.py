"""What the profile's heads see in one document: the numbers behind every explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s3_retriever.errors import InputError, ProfileError
from s3_retriever.generator.generator import Generator
from s3_retriever.index.segment import Entry, Segment
from s3_retriever.index.store import Snapshot
from s3_retriever.profile import Head, Profile
from s3_retriever.retrieve.question import project_question

__all__ = ["HeadReading", "Reading", "read_document"]


@dataclass(frozen=True)
class HeadReading:
    """One head over all tokens of a document."""

    head: Head
    hookpoint: int
    """Number of the hookpoint whose code it reads."""
    shares: np.ndarray
    """``(n_tokens,)`` attention over its average, mean of the question's tokens."""
    contributions: np.ndarray
    """``(n_tokens, k)`` what each active latent adds to the logits, weighted by attention."""


@dataclass(frozen=True)
class Reading:
    """A document as the heads see it for one question."""

    text: str
    starts: np.ndarray
    ends: np.ndarray
    latents: np.ndarray
    """``(n_tokens, n_hookpoints, k)``"""
    heads: Sequence[HeadReading]
    scores: np.ndarray
    """``(n_tokens,)`` as attention scoring gives them, less the null question's, this document
    alone sharing the softmax."""


def read_document(
    generator: Generator,
    profile: Profile,
    snapshot: Snapshot,
    question: str,
    doc_id: str,
    *,
    null_question: str | None = "N/A",
) -> Reading:
    """Score one document's stored codes for a question; the document is not read again.

    Args:
        generator: the resident model.
        profile: names the heads.
        snapshot: the index's state.
        question: plain text.
        doc_id: the document.
        null_question: its attention is subtracted; ``None`` subtracts nothing.

    Raises:
        InputError: there is no such document.
        ProfileError: the profile names no heads.
    """
    if not profile.card.heads:
        raise ProfileError(f"profile {profile.card.name!r} names no heads, which explain scores")
    if doc_id not in snapshot.live:
        raise InputError(f"there is no document {doc_id!r} in the index")
    segment, entry = snapshot.live[doc_id]
    rows = slice(*entry.tokens)
    heads = _read(generator, profile, segment, entry, question)
    weight = sum(h.head.weight for h in heads)
    scores = sum(h.head.weight * h.shares for h in heads) / weight
    if null_question is not None:
        without = _read(generator, profile, segment, entry, null_question)
        scores = scores - sum(h.head.weight * h.shares for h in without) / weight
    return Reading(
        segment.text(entry),
        np.asarray(segment.starts[rows]),
        np.asarray(segment.ends[rows]),
        np.asarray(segment.ids[rows]),
        heads,
        np.asarray(scores, dtype=np.float32),
    )


def _read(
    generator: Generator, profile: Profile, segment: Segment, entry: Entry, question: str
) -> list[HeadReading]:
    projected = project_question(generator, profile, question)
    rows = slice(*entry.tokens)
    return [
        _head(generator, profile, projected.queries[head.layer][:, head.head], head, segment, rows)
        for head in profile.card.heads
    ]


def _head(
    generator: Generator,
    profile: Profile,
    queries: torch.Tensor,
    head: Head,
    segment: Segment,
    rows: slice,
) -> HeadReading:
    """``queries``: ``(n_question_tokens, head_dim)``."""
    dim, kv_head = generator.layout.head_dim, head.head // generator.layout.group
    number, hookpoint = next(
        (n, h)
        for n, h in enumerate(profile.card.hookpoints)
        if h.layer == head.layer and kv_head in h.kv_heads
    )
    at = hookpoint.kv_heads.index(kv_head) * dim
    decoder = profile.saes[number].W_dec[:, at : at + dim].to(queries.device)
    ids = torch.from_numpy(segment.ids[rows][:, number].astype(np.int64)).to(queries.device)
    steps = torch.from_numpy(segment.activations[rows][:, number].astype(np.float32))
    strengths = steps.to(queries.device) * hookpoint.activation_scale
    with torch.inference_mode():
        products = (decoder.float() @ queries.T.float()) * generator.layout.scaling
        terms = products[ids] * strengths[..., None]  # (n_tokens, k, n_question_tokens)
        shares = terms.sum(1).softmax(0)  # each question token spends 1 over the document
        contributions = (terms * shares[:, None]).mean(-1)
        over_average = shares.mean(1) * len(shares)
    return HeadReading(head, number, over_average.cpu().numpy(), contributions.cpu().numpy())
