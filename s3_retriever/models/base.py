"""What the library asks of a language model, in four parts that can be had from different places.

A source of models (a library, a compiled runtime, a server) is one class with the methods of the
parts that it has; :mod:`~s3_retriever.models.transformers` is the first, which has all four, and
:mod:`s3_retriever.testing.models` holds the suite that every one has to pass.

Every method may be called from several threads at once. Texts go in as token ids where the same
tokens are read again or counted, so a source needs its model's tokenizer here, not only where the
model runs: :class:`~s3_retriever.models.tokenizing.TextTokenizer` is one. What cannot be had
raises :class:`~s3_retriever.errors.ModelError` (the server is gone), what was asked for wrongly
:class:`~s3_retriever.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from s3_retriever.types import Tokens

if TYPE_CHECKING:  # clients of a server import what is here, and have no torch
    from torch import Tensor

    from s3_retriever.models.families import AttentionLayout

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
    """How text becomes token ids, and how many of them the model takes."""

    @property
    def window(self) -> int:
        """Most tokens the model takes at once, those it generates included."""

    def tokenize(self, text: str) -> Tokens:
        """Tokens of ``text`` with character offsets; a special token's name in it is plain text.

        Offsets count Unicode code points. They are in order, none is empty, and every character
        lies in a token; several tokens may share one (the bytes of an emoji).

        Raises:
            InputError: the text holds a lone surrogate, which no encoding can store.
        """

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """``(n_tokens,)`` int32 ids of ``text``, behind the beginning-of-text token if ``bos``.

        Raises:
            ModelError: there is no such token.
        """

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``: the length of what :meth:`tokenize` gives.

        Raises:
            InputError: the text holds a lone surrogate.
        """

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
        back. The caller has made the chunks of similar length and their number fit a batch:
        all may share one forward pass, which nothing after the last of ``layers`` needs. A chunk's
        keys do not depend on the others.

        Args:
            chunks: token ids ``(n_tokens,)`` int32 of each: at least one chunk, none empty, none
                longer than the window behind the prefix.
            layers: layer numbers, 0 for the first, in any order.
            prefix: token ids ``(n_prefix,)`` int32, may be empty.

        Returns:
            For each layer and chunk ``(n_tokens, n_kv_heads, head_dim)``, of any float dtype, on
            the device that ``describe()`` names.
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
        """Queries, before the rotary embedding, of texts that may share one forward pass.

        Args:
            texts: token ids ``(n_tokens,)`` int32 of each: at least one text, none empty.
            layers: layer numbers, 0 for the first, in any order.

        Returns:
            For each layer and text ``(n_tokens, n_heads, head_dim)``, of any float dtype.
        """


@runtime_checkable
class LikelihoodJudge(Tokenizing, Protocol):
    """Says how likely passages make a question."""

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """Log-probability of each token of a question after each passage.

        Args:
            passages: token ids ``(n_tokens,)`` int32 of each; there may be none.
            question: plain text; its tokens are those of a space and it.

        Returns:
            ``(n_passages, n_question_tokens)`` float32, in nats.
        """


class TextStream(Protocol):
    """Text that is being generated: an iterator over its pieces, which counts tokens."""

    @property
    def n_tokens(self) -> int:
        """Tokens generated so far; the one that ends the model's turn is not counted."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; none ends inside a character."""

    def __next__(self) -> str:
        """The next piece."""


@runtime_checkable
class Chat(Tokenizing, Protocol):
    """Answers in a conversation.

    The prompt is token ids, so that a text that spells a special token can be told from one, and
    so that what fits the window is known beforehand. (A server has to take ids, as those of vLLM
    and llama.cpp do.)
    """

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation in the model's own chat template.

        A content that spells a special token stays text, and a role is checked
        (:func:`~s3_retriever.models.chat_template.check_roles`) before the template sees it.

        Args:
            messages: ``role`` and ``content`` of each.

        Returns:
            Ids up to where the answer begins.

        Raises:
            InputError: a role that is no name, or roles or an order that the template refuses.
        """

    def stream(
        self,
        input_ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> TextStream:
        """Generate text after ``input_ids``; it starts when the first piece is taken.

        An answer that repeats itself may end early.

        Args:
            input_ids: the prompt, e.g. from :meth:`chat_ids`.
            max_new_tokens: most tokens to generate.
            temperature: 0 is greedy.
            top_p: draw among the likeliest tokens that have this probability together.

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
        """SHA-256 that tells these weights, up to a layer, from those of any other fine-tune.

        An index is refused to a model with another one. Sources of the same weights that are to
        share indexes have to agree on it; else any digest does that stays the same.

        Args:
            last_layer: the last that decides a code; later ones do not count.
        """

    def describe(self) -> Mapping[str, str | int]:
        """What an owner of the machine wants to know.

        Returns:
            ``device`` (where :meth:`read_keys` puts keys, as torch names it: ``cpu`` for a
            server), ``dtype`` (of the weights) and ``weight_bytes`` (in this process, shared ones
            counted once).
        """
