"""Generating tokens: a prompt is read once, then each token is chosen and read in its turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from s3_retriever.models.cache_names import cache_argument, cache_of

__all__ = ["Decoder", "Prefilled", "choose_token"]


class Prefilled(NamedTuple):
    """What reading a prompt leaves behind."""

    logits: Tensor
    """``(vocabulary,)`` after the last token, in the model's dtype."""
    cache: Any
    """Keys and values of each layer, a ``Cache`` of :mod:`transformers`."""
    n_tokens: int
    """Length of the prompt."""


class Decoder:
    """Continues prompts with a causal language model of :mod:`transformers`.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> decoder = Decoder(llm.model, llm.tokenizer, llm.lock)
        >>> read = decoder.prefill(llm.tokenize("The capital of France is").ids.tolist())
        >>> llm.decode(list(decoder.continue_from(read, max_new_tokens=1)))
        ' Paris'
    """

    def __init__(self, model: Any, tokenizer: Any, lock: AbstractContextManager[Any]) -> None:
        """Take what is already in memory.

        Args:
            model: a causal language model.
            tokenizer: its tokenizer, for the token that ends a text.
            lock: taken for each forward pass.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._lock = lock

    def prefill(self, input_ids: Sequence[int]) -> Prefilled:
        """Read a prompt in one forward pass of the whole model.

        Args:
            input_ids: the prompt, at least one token.
        """
        with self._lock, torch.inference_mode():
            out = self._model(
                input_ids=torch.tensor([list(input_ids)], device=self._model.device),
                use_cache=True,
                logits_to_keep=1,
            )
        return Prefilled(out.logits[0, -1], cache_of(out), len(input_ids))

    def continue_from(
        self,
        read: Prefilled,
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> Iterator[int]:
        """Token ids after a prompt, up to the one that ends the model's turn, which is left out.

        The cache of ``read`` grows with every token. It may hold less than the prompt (a
        compressed cache): positions count on from the prompt's end all the same.

        Args:
            read: the prompt, from :meth:`prefill`.
            max_new_tokens: most tokens to generate.
            temperature: 0 is greedy.
            top_p: as of :func:`choose_token`.
        """
        stop = self.stop_ids()
        logits = read.logits
        device = self._model.device
        for position in range(read.n_tokens, read.n_tokens + max_new_tokens):
            token = choose_token(logits, temperature, top_p)
            if token in stop:
                return
            yield token
            if position + 1 == read.n_tokens + max_new_tokens:
                return
            at = torch.tensor([position], device=device)
            with self._lock, torch.inference_mode():
                logits = self._model(
                    input_ids=torch.tensor([[token]], device=device),
                    **cache_argument(self._model, read.cache),
                    position_ids=at[None],
                    cache_position=at,  # else counted from the cache's first layer
                    use_cache=True,
                ).logits[0, -1]

    def stop_ids(self) -> set[int]:
        """The tokens that end the model's turn."""
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self._tokenizer.eos_token_id] if i is not None}


def choose_token(logits: Tensor, temperature: float, top_p: float = 1.0) -> int:
    """The likeliest token, or one drawn from the distribution.

    Args:
        logits: ``(vocabulary,)``.
        temperature: what the logits are divided by before the softmax; 0 takes the likeliest.
        top_p: draw among the likeliest tokens only, as few as have this probability together
            (nucleus sampling, Holtzman et al. 2020); 1 draws among all.

    Example:
        >>> choose_token(torch.tensor([0.1, 2.0, 0.3]), 0.0)
        1
        >>> choose_token(torch.tensor([0.1, 2.0, 0.3]), 1e-300)
        1
        >>> choose_token(torch.tensor([0.1, 2.0, 0.3]), 1.0, top_p=0.5)
        1
    """
    if temperature <= 0:
        return int(logits.argmax())
    below = logits.float() - logits.max()  # a quotient of theirs is never infinitely large
    likely = (below / max(temperature, 1e-30)).softmax(-1)
    if top_p < 1:
        ordered, ids = likely.sort(descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= top_p  # what stands before it is enough
        outside[0] = False
        return int(ids[torch.multinomial(ordered.masked_fill(outside, 0.0), 1)])
    return int(torch.multinomial(likely, 1))
