"""How likely a passage makes a question: the model's own judgement of relevance.

Source: query likelihood by a language model (Ponte and Croft 1998; Sachan et al. 2022, arXiv
2204.07496). A passage stands before the question, so its keys and values are the same for every
question. They are kept, and only the question's tokens are read of a passage that comes back.

Passages are read first: several share one forward pass without padding and the prefix before them;
an attention mask keeps them apart. Then copies of the question are the rows of a batch, each behind
the keys and values of its passage. It is done this way with nothing kept, too, so that a
question that is asked again gets the same values to the last digit (in bfloat16 two ways of
computing them differ by tenths of a nat). In both steps every layer sees everything before a
token, those with a sliding window too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.base import Tokenizing
from s3_retriever.models.cache_names import cache_argument
from s3_retriever.models.prefix_cache import PrefixCache

__all__ = ["question_log_likelihoods"]

PREFIX = "Passage: "
SUFFIX = "\nQuestion:"

_PACK_TOKENS = 512
"""New tokens of one forward pass; attention grows with its square, the rest only with it."""
_PAST_TOKENS = 4096
"""Tokens, padding included, behind which one batch of questions is read."""
_LOGIT_ROWS = 128
"""Rows of logits turned to float32 at once: 50 MB for a vocabulary of 100,000."""


class _CausalModel(Tokenizing, Protocol):
    """A model of transformers with its tokenizer; the lock is taken for each forward pass."""

    model: Any
    lock: Any
    likelihood_cache: PrefixCache

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        raise NotImplementedError


def question_log_likelihoods(
    llm: _CausalModel, passages: Sequence[np.ndarray], question: str
) -> np.ndarray:
    """Log-probability of each token of a question after each passage.

    Passages that ``llm.likelihood_cache`` knows are not read again, and those that are read get
    into it.

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
    suffix = llm.tokenize(SUFFIX).ids
    asked = llm.tokenize(" " + question).ids
    values = np.empty((len(passages), len(asked)), dtype=np.float32)
    if not len(asked):
        return values
    befores = [np.concatenate([prefix, p, suffix]).astype(np.int32) for p in passages]
    # all are looked up before any is put there, which may displace others of them
    known = [llm.likelihood_cache.get(before) for before in befores]
    for rows in _batches(befores, len(asked)):
        unread = [row for row in rows if known[row] is None]
        for pack in _packs(unread, befores, len(prefix)):
            states = _read(llm, [befores[row] for row in pack], len(prefix))
            for row, read in zip(pack, states, strict=True):
                known[row] = read
                llm.likelihood_cache.put(befores[row], read)
        past = [own for row in rows if (own := known[row]) is not None]
        values[rows] = _ask(llm, past, suffix[-1:], asked)
        for row in rows:
            known[row] = None  # what the cache does not keep is not kept longer than needed
    return values


def _batches(befores: Sequence[np.ndarray], asked: int) -> Iterator[list[int]]:
    """Which are asked about together: by length, so that little is padded; at least one."""
    batch: list[int] = []
    for row in sorted(range(len(befores)), key=lambda row: len(befores[row])):
        n, width = len(batch) + 1, len(befores[row])
        if batch and (n * width > _PAST_TOKENS or n * asked > _PACK_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _packs(
    rows: Sequence[int], befores: Sequence[np.ndarray], n_prefix: int
) -> Iterator[list[int]]:
    """Which are read together: in order, as many a pack as fit; a longer one is alone."""
    pack: list[int] = []
    length = n_prefix
    for row in rows:
        cost = len(befores[row]) - n_prefix
        if pack and length + cost > _PACK_TOKENS:
            yield pack
            pack, length = [], n_prefix
        pack.append(row)
        length += cost
    if pack:
        yield pack


def _read(llm: _CausalModel, pack: Sequence[np.ndarray], n_prefix: int) -> list[Tensor]:
    """Keys and values of all before the question but its last token, by one forward pass.

    That token is read with the question: its logits are those of the question's first.

    Returns:
        For each ``(n_layers, 2, n_kv_heads, n_tokens, head_dim)``, the prefix with it. Each has
        its own memory: a view would keep the whole pack's.
    """
    from transformers import DynamicCache

    prefix = pack[0][:n_prefix]
    parts = [before[n_prefix:-1] for before in pack]
    ids = np.concatenate([prefix, *parts])
    positions = np.concatenate(
        [np.arange(n_prefix), *(n_prefix + np.arange(len(part)) for part in parts)]
    )
    # the prefix is part 0, which every part sees; a part sees itself up to each token
    owner = np.repeat(np.arange(len(parts) + 1), [n_prefix, *map(len, parts)])
    sees = np.equal.outer(owner, owner) | (owner == 0)
    sees &= np.tri(len(ids), dtype=bool)
    # one that knows nothing of sliding windows: else only the last window would be left
    cache: Any = DynamicCache()  # its annotations leave room for empty layers
    with llm.lock, torch.inference_mode():
        # only keys and values are wanted: one row of logits is the least to ask for
        _logits(llm, ids[None], positions[None], sees[None], cache, np.array([len(ids) - 1]))
        layers: Iterable[Any] = cache.layers
        states = torch.stack([torch.stack((at.keys[0], at.values[0])) for at in layers])
        first, *others = states.split([n_prefix, *map(len, parts)], dim=-2)
        return [torch.cat((first, own), dim=-2) for own in others]


def _ask(
    llm: _CausalModel, states: Sequence[Tensor], last: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """``(n_passages, n_asked)`` log-probabilities, by one forward pass over the questions.

    Args:
        llm: the resident model.
        states: what :func:`_read` gave for each passage.
        last: the token ``(1,)`` between that and the question.
        asked: the question ``(n_asked,)``; of its last token nothing depends.
    """
    from s3_retriever.models.past import Past

    past = Past(states)
    ids = np.tile(np.concatenate([last, asked[:-1]]), (len(states), 1))
    positions = np.add.outer(past.lengths, np.arange(len(asked)))
    sees = np.empty((*ids.shape, past.width + len(asked)), dtype=bool)
    # what fills up a shorter passage is seen by nobody
    sees[..., : past.width] = np.arange(past.width) < np.array(past.lengths)[:, None, None]
    sees[..., past.width :] = np.tri(len(asked), dtype=bool)
    with llm.lock, torch.inference_mode():
        logits = _logits(llm, ids, positions, sees, past, np.arange(len(asked)))
        found = _log_probabilities(logits.flatten(0, 1), np.tile(asked, len(states)))
    return found.reshape(len(states), len(asked))


def _logits(
    llm: _CausalModel,
    ids: np.ndarray,
    positions: np.ndarray,
    sees: np.ndarray,
    cache: Any,
    at: np.ndarray,
) -> Tensor:
    """Logits ``(batch, len(at), vocabulary)`` of one forward pass.

    Args:
        llm: the resident model.
        ids: tokens ``(batch, n)``.
        positions: ``(batch, n)``, for the rotary embedding.
        sees: ``(batch, n, n_past + n)`` bool.
        cache: a ``Cache`` of transformers with the past; is given what ``ids`` add.
        at: which tokens' logits.
    """
    device, dtype = llm.device, llm.model.dtype
    visible = torch.from_numpy(sees).to(device)
    # an additive mask: every attention implementation takes it
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    logits: Tensor = llm.model(
        input_ids=torch.from_numpy(ids).to(device, torch.long),
        attention_mask=mask[:, None],
        position_ids=torch.from_numpy(positions).to(device),
        **cache_argument(llm.model, cache),
        use_cache=True,
        logits_to_keep=torch.from_numpy(at).to(device),
    ).logits
    return logits


def _log_probabilities(logits: Tensor, targets: np.ndarray) -> np.ndarray:
    """Log-probabilities ``(n,)`` float32 of tokens ``(n,)`` by logits ``(n, vocabulary)``."""
    wanted = torch.from_numpy(targets).to(logits.device, torch.long)
    parts = [
        torch.log_softmax(rows.float(), -1).gather(-1, tokens[:, None])[:, 0]
        for rows, tokens in zip(logits.split(_LOGIT_ROWS), wanted.split(_LOGIT_ROWS), strict=True)
    ]
    values: np.ndarray = torch.cat(parts).cpu().numpy()
    return values
