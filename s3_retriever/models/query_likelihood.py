"""How likely a passage makes a question: the model's own judgement of relevance.

Source: query likelihood by a language model (Ponte and Croft 1998; Sachan et al. 2022, arXiv
2204.07496). Several passages, each with its copy of the question, share one forward pass without
padding and the prefix before them; an attention mask keeps them apart.

A passage stands before the question, so its keys and values are the same for every question. They
are kept, and of a passage that comes back only the question's tokens are read: copies of the
question are the rows of a batch, each behind the keys and values of its passage. Both ways every
layer sees everything before it, those with a sliding window too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.base import Tokenizing
from s3_retriever.models.prefix_cache import PrefixCache

__all__ = ["question_log_likelihoods"]

PREFIX = "Passage: "
SUFFIX = "\nQuestion:"

_PACK_TOKENS = 512
"""Tokens of one forward pass; attention grows with its square, the rest only with it."""
_PAST_TOKENS = 4096
"""Tokens, padding included, behind which one batch of questions is read."""
_LOGIT_ROWS = 128
"""Rows of logits turned to float32 at once: 50 MB for a vocabulary of 100,000."""
_SAME_ROTARY = 2048
"""Longest input whose keys may be kept: rotary embeddings that change with an input's length
(``longrope``, ``dynamic``) do so beyond 2,048 tokens at the earliest."""


class _CausalModel(Tokenizing, Protocol):
    """A model of transformers with its tokenizer; the lock is taken for each forward pass."""

    model: Any
    lock: Any
    likelihood_cache: PrefixCache

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        raise NotImplementedError


class _Passage(NamedTuple):
    """A passage among those that are judged."""

    row: int
    """Its place among them."""
    before: np.ndarray
    """Token ids ``(n_tokens,)`` int32 of all that stands before the question."""


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
    unread: list[_Passage] = []
    read: list[tuple[_Passage, Tensor]] = []
    for row, passage in enumerate(passages):
        before = np.concatenate([prefix, passage, suffix]).astype(np.int32)
        states = llm.likelihood_cache.get(before) if _keepable(llm, before, asked) else None
        if states is None:
            unread.append(_Passage(row, before))
        else:
            read.append((_Passage(row, before), states))
    for pack in _packs(unread, len(prefix), len(asked)):
        values[[passage.row for passage in pack]] = _read(llm, pack, len(prefix), asked)
    for batch in _batches(read, len(asked)):
        rows = [passage.row for passage, _ in batch]
        values[rows] = _ask(llm, batch, asked)
    return values


def _keepable(llm: _CausalModel, before: np.ndarray, asked: np.ndarray) -> bool:
    """Whether keys and values may come from the cache, or go there."""
    return llm.likelihood_cache.most_bytes > 0 and len(before) + len(asked) <= _SAME_ROTARY


def _packs(passages: Sequence[_Passage], prefix: int, asked: int) -> Iterator[Sequence[_Passage]]:
    """Passages in order, as many a pack as fit; a longer one is alone."""
    pack: list[_Passage] = []
    length = prefix
    for passage in passages:
        cost = len(passage.before) - prefix + asked
        if pack and length + cost > _PACK_TOKENS:
            yield pack
            pack, length = [], prefix
        pack.append(passage)
        length += cost
    if pack:
        yield pack


def _batches(
    read: Sequence[tuple[_Passage, Tensor]], asked: int
) -> Iterator[Sequence[tuple[_Passage, Tensor]]]:
    """Passages by length, so that little is padded, as many a batch as fit; at least one."""
    batch: list[tuple[_Passage, Tensor]] = []
    for item in sorted(read, key=lambda item: len(item[0].before)):
        n, width = len(batch) + 1, len(item[0].before)
        if batch and (n * width > _PAST_TOKENS or n * asked > _PACK_TOKENS):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _read(
    llm: _CausalModel, pack: Sequence[_Passage], n_prefix: int, asked: np.ndarray
) -> np.ndarray:
    """``(n_passages, n_asked)`` log-probabilities, by one forward pass over all tokens."""
    from transformers import DynamicCache

    prefix = pack[0].before[:n_prefix]
    parts = [np.concatenate([passage.before[n_prefix:], asked]) for passage in pack]
    ids = np.concatenate([prefix, *parts])
    positions = np.concatenate(
        [np.arange(n_prefix), *(n_prefix + np.arange(len(part)) for part in parts)]
    )
    # the prefix is part 0, which every part sees; a part sees itself up to each token
    owner = np.repeat(np.arange(len(parts) + 1), [n_prefix, *map(len, parts)])
    sees = np.equal.outer(owner, owner) | (owner == 0)
    sees &= np.tri(len(ids), dtype=bool)
    ends = n_prefix + np.cumsum([len(part) for part in parts])
    asked_at = np.add.outer(ends, np.arange(-len(asked), 0))
    # longer ones are alone in their pack, so none changes the rotary embedding of others;
    # a plain cache knows nothing of sliding windows: else only the last window would be left
    cache = DynamicCache() if all(_keepable(llm, p.before, asked) for p in pack) else None
    with llm.lock, torch.inference_mode():
        logits = _logits(llm, ids[None], positions[None], sees[None], cache, asked_at.ravel() - 1)
        values = _log_probabilities(logits[0], ids[asked_at.ravel()])
        if cache is not None:
            _keep(llm.likelihood_cache, cache, pack, n_prefix, ends - len(asked))
    return values.reshape(asked_at.shape)


def _keep(
    known: PrefixCache,
    cache: Any,
    pack: Sequence[_Passage],
    n_prefix: int,
    asked_from: np.ndarray,
) -> None:
    """Keys and values of all before the question but its last token, which is read with it.

    That token's logits are those of the question's first. Each passage gets them in one tensor
    ``(n_layers, 2, n_kv_heads, n_tokens, head_dim)`` of its own, with the prefix: a view would
    keep the whole pack in memory.
    """
    states = torch.stack([torch.stack((at.keys[0], at.values[0])) for at in cache.layers])
    for passage, end in zip(pack, asked_from.tolist(), strict=True):
        start = end - (len(passage.before) - n_prefix)
        own = (states[..., :n_prefix, :], states[..., start : end - 1, :])
        known.put(passage.before, torch.cat(own, dim=-2))


def _ask(
    llm: _CausalModel, batch: Sequence[tuple[_Passage, Tensor]], asked: np.ndarray
) -> np.ndarray:
    """``(n_passages, n_asked)`` log-probabilities, by one forward pass over the questions."""
    from s3_retriever.models.past import Past

    past = Past([states for _, states in batch])
    ids = np.stack([np.append(passage.before[-1], asked[:-1]) for passage, _ in batch])
    positions = np.add.outer(past.lengths, np.arange(len(asked)))
    sees = np.empty((*ids.shape, past.width + len(asked)), dtype=bool)
    # what fills up a shorter passage is seen by nobody
    sees[..., : past.width] = np.arange(past.width) < np.array(past.lengths)[:, None, None]
    sees[..., past.width :] = np.tri(len(asked), dtype=bool)
    with llm.lock, torch.inference_mode():
        logits = _logits(llm, ids, positions, sees, past, np.arange(len(asked)))
        found = _log_probabilities(logits.flatten(0, 1), np.tile(asked, len(batch)))
    return found.reshape(len(batch), len(asked))


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
        cache: keys and values of the past; gets those of ``ids``. ``None``: no past, none kept.
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
        past_key_values=cache,
        use_cache=cache is not None,
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
