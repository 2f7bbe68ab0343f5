"""How likely a passage makes a question: the generator's own judgement of relevance.

Source: query likelihood by a language model (Ponte and Croft 1998; Sachan et al. 2022, arXiv
2204.07496). Here several copies of the question follow each passage in one forward pass, each
seeing only its part of the passage, so a passage is read once however many of its sentences are
judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from s3_retriever.generator.generator import Generator

__all__ = ["PassageView", "question_log_likelihoods"]

PREFIX = "Passage: "
SUFFIX = "\nQuestion:"

_PACK_TOKENS = 512
"""Tokens of one forward pass; attention grows with its square, the rest only with it."""
_LOGIT_ROWS = 128
"""Rows of logits turned to float32 at once: 50 MB for a vocabulary of 100,000."""


@dataclass(frozen=True)
class PassageView:
    """A passage, and what of it each copy of the question sees."""

    ids: np.ndarray
    """``(n_tokens,)`` token ids."""
    views: tuple[tuple[tuple[int, int], ...], ...]
    """For each copy the token ranges it sees, first and one past the last."""

    def packed_length(self, tail: int) -> int:
        """Tokens in a pack when a copy of the question has ``tail`` tokens."""
        return len(self.ids) + tail * len(self.views)


def question_log_likelihoods(
    generator: Generator, passages: Sequence[PassageView], question: str
) -> list[np.ndarray]:
    """Log-probability of each token of a question after each view of each passage.

    A token of a passage sees the passage up to itself; a copy of the question sees its ranges and
    itself, and stands where the passage ends.

    Args:
        generator: the resident model.
        passages: what to read; each with at least one view.
        question: plain text.

    Returns:
        One ``(n_views, n_question_tokens)`` float32 array a passage, in nats.
    """
    # a model that knows a beginning-of-text token expects one
    prefix = generator.prefix_ids(PREFIX, bos=generator.adds_bos)
    asked = generator.tokenize(" " + question).ids
    tail = np.concatenate([generator.tokenize(SUFFIX).ids, asked])
    found: list[np.ndarray] = []
    for pack in _packs(passages, len(prefix), len(tail)):
        rows = _read(generator, prefix, pack, tail, len(asked))
        ends = np.cumsum([len(p.views) for p in pack])[:-1]
        found += np.split(rows, ends)
    return found


def _packs(
    passages: Sequence[PassageView], prefix: int, tail: int
) -> Iterator[Sequence[PassageView]]:
    """Passages in order, as many a pack as fit; a longer one is alone."""
    pack: list[PassageView] = []
    length = prefix
    for passage in passages:
        cost = passage.packed_length(tail)
        if pack and length + cost > _PACK_TOKENS:
            yield pack
            pack, length = [], prefix
        pack.append(passage)
        length += cost
    if pack:
        yield pack


def _read(
    generator: Generator,
    prefix: np.ndarray,
    pack: Sequence[PassageView],
    tail: np.ndarray,
    n_asked: int,
) -> np.ndarray:
    """``(n_views of all passages, n_asked)`` log-probabilities."""
    size = len(prefix) + sum(p.packed_length(len(tail)) for p in pack)
    ids = np.empty(size, dtype=np.int64)
    positions = np.empty(size, dtype=np.int64)
    sees = np.zeros((size, size), dtype=bool)
    ids[: len(prefix)] = prefix
    positions[: len(prefix)] = np.arange(len(prefix))
    sees[:, : len(prefix)] = True
    at = len(prefix)
    tails = []
    for passage in pack:
        first, end = at, at + len(passage.ids)
        ids[first:end] = passage.ids
        positions[first:end] = len(prefix) + np.arange(end - first)
        sees[first:end, first:end] = True
        at = end
        for view in passage.views:
            copy = slice(at, at + len(tail))
            ids[copy] = tail
            positions[copy] = len(prefix) + (end - first) + np.arange(len(tail))
            sees[copy, copy] = True
            for low, high in view:
                sees[copy, first + low : first + high] = True
            tails.append(at)
            at += len(tail)
    sees &= np.tri(size, dtype=bool)
    asked_at = np.add.outer(np.array(tails), np.arange(len(tail) - n_asked, len(tail)))
    values = _log_probabilities(generator, ids, positions, sees, asked_at.ravel())
    return values.reshape(asked_at.shape)


def _log_probabilities(
    generator: Generator,
    ids: np.ndarray,
    positions: np.ndarray,
    sees: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """Log-probability of ``ids[at]``, each given what the token before it sees."""
    device, dtype = generator.device, generator.model.dtype
    visible = torch.from_numpy(sees).to(device)
    # an additive mask: every attention implementation takes it
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    tokens = torch.from_numpy(ids).to(device)
    with generator.lock, torch.inference_mode():
        logits = generator.model(
            input_ids=tokens[None],
            attention_mask=mask[None, None],
            position_ids=torch.from_numpy(positions).to(device)[None],
            use_cache=False,
            logits_to_keep=torch.from_numpy(at - 1).to(device),
        ).logits[0]
        targets = tokens[torch.from_numpy(at).to(device)]
        parts = [
            torch.log_softmax(rows.float(), -1).gather(-1, wanted[:, None])[:, 0]
            for rows, wanted in zip(
                logits.split(_LOGIT_ROWS), targets.split(_LOGIT_ROWS), strict=True
            )
        ]
        values: np.ndarray = torch.cat(parts).cpu().numpy()
    return values
