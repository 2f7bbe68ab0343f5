"""How likely a passage makes a question: the model's own judgement of relevance.

Source: query likelihood by a language model (Ponte and Croft 1998; Sachan et al. 2022, arXiv
2204.07496). Several passages, each with its copy of the question, share one forward pass without
padding and the prefix before them; an attention mask keeps them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from s3_retriever.models.base import Tokenizing

__all__ = ["question_log_likelihoods"]

PREFIX = "Passage: "
SUFFIX = "\nQuestion:"

_PACK_TOKENS = 512
"""Tokens of one forward pass; attention grows with its square, the rest only with it."""
_LOGIT_ROWS = 128
"""Rows of logits turned to float32 at once: 50 MB for a vocabulary of 100,000."""


class _CausalModel(Tokenizing, Protocol):
    """A model of transformers with its tokenizer; the lock is taken for each forward pass."""

    model: Any
    lock: Any

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        raise NotImplementedError


def question_log_likelihoods(
    llm: _CausalModel, passages: Sequence[np.ndarray], question: str
) -> np.ndarray:
    """Log-probability of each token of a question after each passage.

    Args:
        llm: the resident model.
        passages: token ids ``(n_tokens,)`` of each.
        question: plain text.

    Returns:
        ``(n_passages, n_question_tokens)`` float32, in nats.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> passages = [llm.tokenize(text).ids for text in ("Cats purr.", "It rained.")]
        >>> values = question_log_likelihoods(llm, passages, "What do cats do?")
        >>> bool(values[0].sum() > values[1].sum())
        True
    """
    # a model that knows a beginning-of-text token expects one
    prefix = llm.prefix_ids(PREFIX, bos=llm.adds_bos)
    asked = llm.tokenize(" " + question).ids
    tail = np.concatenate([llm.tokenize(SUFFIX).ids, asked])
    packs = _packs(passages, len(prefix), len(tail))
    return np.concatenate(
        [_read(llm, prefix, pack, tail, len(asked)) for pack in packs]
        or [np.empty((0, len(asked)), dtype=np.float32)]
    )


def _packs(
    passages: Sequence[np.ndarray], prefix: int, tail: int
) -> Iterator[Sequence[np.ndarray]]:
    """Passages in order, as many a pack as fit; a longer one is alone."""
    pack: list[np.ndarray] = []
    length = prefix
    for passage in passages:
        cost = len(passage) + tail
        if pack and length + cost > _PACK_TOKENS:
            yield pack
            pack, length = [], prefix
        pack.append(passage)
        length += cost
    if pack:
        yield pack


def _read(
    llm: _CausalModel,
    prefix: np.ndarray,
    pack: Sequence[np.ndarray],
    tail: np.ndarray,
    n_asked: int,
) -> np.ndarray:
    """``(n_passages, n_asked)`` log-probabilities, by one forward pass."""
    parts = [np.concatenate([passage, tail]) for passage in pack]
    ids = np.concatenate([prefix, *parts]).astype(np.int64)
    positions = np.concatenate(
        [np.arange(len(prefix)), *(len(prefix) + np.arange(len(part)) for part in parts)]
    )
    # the prefix is part 0, which every part sees; a part sees itself up to each token
    owner = np.repeat(np.arange(len(parts) + 1), [len(prefix), *map(len, parts)])
    sees = np.equal.outer(owner, owner) | (owner == 0)
    sees &= np.tri(len(ids), dtype=bool)
    ends = len(prefix) + np.cumsum([len(part) for part in parts])
    asked_at = np.add.outer(ends, np.arange(-n_asked, 0))
    values = _log_probabilities(llm, ids, positions, sees, asked_at.ravel())
    return values.reshape(asked_at.shape)


def _log_probabilities(
    llm: _CausalModel,
    ids: np.ndarray,
    positions: np.ndarray,
    sees: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """Log-probability of ``ids[at]``, each given what the token before it sees."""
    device, dtype = llm.device, llm.model.dtype
    visible = torch.from_numpy(sees).to(device)
    # an additive mask: every attention implementation takes it
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    tokens = torch.from_numpy(ids).to(device)
    with llm.lock, torch.inference_mode():
        logits = llm.model(
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
