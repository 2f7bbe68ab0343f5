"""What the library asks of a language model, in four parts that can be had from different places.

A source of models is one class with these methods; :mod:`~s3_retriever.models.transformers` is the
first, and ``s3_retriever.testing.models`` holds the suite that every one has to pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from s3_retriever.models.families import AttentionLayout
from s3_retriever.types import Tokens

__all__ = [
    "Chat",
    "KeyReader",
    "LanguageModel",
    "LikelihoodJudge",
    "QueryReader",
    "TextStream",
    "Tokenizing",
]


class Tokenizing(Protocol):
    """How text becomes token ids."""

    @property
    def window(self) -> int:
        """Most tokens the model takes at once."""

    def tokenize(self, text: str) -> Tokens:
        """Tokens of ``text`` with character offsets; a special token's name in it is plain text.

        Raises:
            InputError: the text holds a lone surrogate, which no encoding can store.
        """

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """``(n_tokens,)`` int32 ids of ``text``, behind the beginning-of-text token if ``bos``.

        Raises:
            ModelError: there is no such token.
        """

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``."""

    @property
    def adds_bos(self) -> bool:
        """Whether a text gets a beginning-of-text token of the tokenizer's own accord."""

    def tokenizer_hash(self) -> str:
        """SHA-256 of the vocabulary: two models with the same one number tokens alike."""


@runtime_checkable
class KeyReader(Tokenizing, Protocol):
    """Reads texts and gives the keys of some layers: all that scanning needs."""

    @property
    def layout(self) -> AttentionLayout:
        """The shape of the model's attention."""

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> Mapping[int, Sequence[Tensor]]:
        """Keys, before the rotary embedding, of chunks that are each read behind ``prefix``.

        The prefix takes the attention sinks (docs/architecture.md) and is left out of what comes
        back. All chunks share one forward pass that ends at the last of ``layers``.

        Args:
            chunks: token ids ``(n_tokens,)`` int32 of each.
            layers: layer numbers, 0 for the first.
            prefix: token ids ``(n_prefix,)`` int32, may be empty.

        Returns:
            For each layer and chunk ``(n_tokens, n_kv_heads, head_dim)``, in the model's dtype.
        """


@runtime_checkable
class QueryReader(Tokenizing, Protocol):
    """Reads questions and gives the queries of some layers."""

    @property
    def layout(self) -> AttentionLayout:
        """The shape of the model's attention."""

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> Mapping[int, Sequence[Tensor]]:
        """Queries, before the rotary embedding, of texts that share one forward pass.

        Args:
            texts: token ids ``(n_tokens,)`` int32 of each.
            layers: layer numbers, 0 for the first.

        Returns:
            For each layer and text ``(n_tokens, n_heads, head_dim)``, in the model's dtype.
        """


@runtime_checkable
class LikelihoodJudge(Tokenizing, Protocol):
    """Says how likely passages make a question."""

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """Log-probability of each token of a question after each passage.

        Args:
            passages: token ids ``(n_tokens,)`` int32 of each.
            question: plain text.

        Returns:
            ``(n_passages, n_question_tokens)`` float32, in nats.
        """


class TextStream(Protocol):
    """Text that is being generated: an iterator over its pieces, which counts tokens."""

    n_tokens: int
    """Tokens generated so far; the one that ends the model's turn is not counted."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; none ends inside a character."""

    def __next__(self) -> str:
        """The next piece."""


@runtime_checkable
class Chat(Tokenizing, Protocol):
    """Answers in a conversation."""

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation in the model's own chat template.

        Args:
            messages: ``role`` and ``content`` of each.

        Raises:
            InputError: a role that is no name, or roles or an order that the template refuses.
        """

    def stream(
        self, input_ids: Sequence[int], *, max_new_tokens: int = 256, temperature: float = 0.0
    ) -> TextStream:
        """Generate text after ``input_ids``.

        Args:
            input_ids: the prompt, e.g. from :meth:`chat_ids`.
            max_new_tokens: most tokens to generate.
            temperature: 0 is greedy.

        Raises:
            InputError: prompt and answer do not fit the window; with the first piece.
        """


@runtime_checkable
class LanguageModel(KeyReader, QueryReader, LikelihoodJudge, Chat, Protocol):
    """All four parts in one object: what an :class:`~s3_retriever.Engine` holds."""

    @property
    def name(self) -> str:
        """Hub id, folder or file that the weights came from."""

    def weights_digest(self, last_layer: int) -> str:
        """SHA-256 that tells these weights, up to a layer, from those of any other fine-tune."""

    def describe(self) -> Mapping[str, str | int]:
        """``device``, ``dtype`` and ``weight_bytes`` (shared ones counted once)."""
