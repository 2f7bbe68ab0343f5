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

No pass belongs to one question: passages of several are read together, and so are the questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.base import Tokenizing
from s3_retriever.models.cache_names import cache_argument
from s3_retriever.models.prefix_cache import PrefixCache

__all__ = ["Reading", "question_log_likelihoods", "read_together"]

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


@dataclass(frozen=True)
class Reading:
    """What is to be judged: passages, by a question."""

    passages: Sequence[np.ndarray]
    """Token ids ``(n_tokens,)`` of each."""
    question: str
    """Plain text."""


@dataclass(frozen=True)
class _Row:
    """A question behind one passage."""

    before: np.ndarray
    """All token ids before the question, ``(n_before,)`` int32."""
    asked: np.ndarray
    """The question's, ``(n_asked,)``; at least one."""
    values: np.ndarray
    """Where its log-probabilities are put, ``(n_asked,)``."""

    @property
    def key(self) -> bytes:
        """Tells one text before a question from another."""
        return self.before.tobytes()


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
    return read_together(llm, [Reading(passages, question)])[0]


def read_together(llm: _CausalModel, readings: Sequence[Reading]) -> list[np.ndarray]:
    """:func:`question_log_likelihoods` of several questions, which share forward passes.

    A passage that more than one is about is read once.

    Args:
        llm: the resident model.
        readings: passages and a question each.

    Returns:
        ``(n_passages, n_question_tokens)`` float32 for each reading, in nats.
    """
    # a model that knows a beginning-of-text token expects one
    prefix = llm.prefix_ids(PREFIX, bos=llm.adds_bos)
    suffix = llm.tokenize(SUFFIX).ids
    found = []
    rows: list[_Row] = []
    for reading in readings:
        asked = llm.tokenize(" " + reading.question).ids
        values = np.empty((len(reading.passages), len(asked)), dtype=np.float32)
        found.append(values)
        if len(asked):
            befores = [np.concatenate([prefix, p, suffix]) for p in reading.passages]
            rows += [
                _Row(before.astype(np.int32), asked, own)
                for before, own in zip(befores, values, strict=True)
            ]
    wanted = Counter(row.key for row in rows)
    # all are looked up before any is put there, which may displace others of them
    known = {key: llm.likelihood_cache.get(np.frombuffer(key, np.int32)) for key in wanted}
    for batch in _batches(rows):
        unread = {row.key: row.before for row in batch if known[row.key] is None}
        for pack in _packs(list(unread.values()), len(prefix)):
            for before, states in zip(pack, _read(llm, pack, len(prefix)), strict=True):
                known[before.tobytes()] = states
                llm.likelihood_cache.put(before, states)
        past = [own for row in batch if (own := known[row.key]) is not None]
        for row, answer in zip(batch, _ask(llm, past, suffix[-1:], batch), strict=True):
            row.values[:] = answer
        wanted.subtract(row.key for row in batch)
        for row in batch:
            if not wanted[row.key]:  # what the cache does not keep is not kept longer than needed
                known[row.key] = None
    return found


def _batches(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Which are asked together: by length, so that little is padded; at least one."""
    batch: list[_Row] = []
    longest = 0
    for row in sorted(rows, key=lambda row: (len(row.before), len(row.asked))):
        n, longest = len(batch) + 1, max(longest, len(row.asked))
        if batch and (n * len(row.before) > _PAST_TOKENS or n * longest > _PACK_TOKENS):
            yield batch
            batch, longest = [], len(row.asked)
        batch.append(row)
    if batch:
        yield batch


def _packs(befores: Sequence[np.ndarray], n_prefix: int) -> Iterator[list[np.ndarray]]:
    """Which are read together: in order, as many a pack as fit; a longer one is alone."""
    pack: list[np.ndarray] = []
    length = n_prefix
    for before in befores:
        cost = len(before) - n_prefix
        if pack and length + cost > _PACK_TOKENS:
            yield pack
            pack, length = [], n_prefix
        pack.append(before)
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
    llm: _CausalModel, states: Sequence[Tensor], last: np.ndarray, rows: Sequence[_Row]
) -> list[np.ndarray]:
    """Log-probabilities ``(n_asked,)`` of each row's question, by one forward pass.

    Args:
        llm: the resident model.
        states: what :func:`_read` gave for what is before each.
        last: the token ``(1,)`` between that and the question.
        rows: the questions; nothing depends on the last token of one.
    """
    from s3_retriever.models.past import Past

    past = Past(states)
    lengths = [len(row.asked) for row in rows]
    width = max(lengths)
    asked = np.zeros((len(rows), width), dtype=np.int32)  # a shorter one is filled up behind
    for filled, row in zip(asked, rows, strict=True):
        filled[: len(row.asked)] = row.asked
    ids = np.concatenate([np.tile(last, (len(rows), 1)), asked[:, :-1]], axis=1)
    positions = np.add.outer(past.lengths, np.arange(width))
    sees = np.empty((*ids.shape, past.width + width), dtype=bool)
    # what fills up a shorter passage is seen by nobody
    sees[..., : past.width] = np.arange(past.width) < np.array(past.lengths)[:, None, None]
    sees[..., past.width :] = np.tri(width, dtype=bool)
    with llm.lock, torch.inference_mode():
        logits = _logits(llm, ids, positions, sees, past, np.arange(width))
        found = _log_probabilities(logits.flatten(0, 1), asked.ravel()).reshape(asked.shape)
    return [values[:length] for values, length in zip(found, lengths, strict=True)]


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
