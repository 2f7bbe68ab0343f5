"""Text to token ids and back, with character offsets, by a fast tokenizer of transformers.

Any source of models that has no tokenizer of its own (a server, a compiled runtime) can use
:class:`TextTokenizer` with the one that its model was published with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from s3_retriever.errors import ModelError
from s3_retriever.quoting import brief
from s3_retriever.text import check_text
from s3_retriever.types import Tokens

__all__ = ["PlainTokenizer", "TextTokenizer"]

_WHITE = "\u2581 \t\r\n"


class PlainTokenizer:
    """Cuts texts into tokens; what spells a special token in a text stays text.

    Example:
        >>> from tokenizers.models import WordLevel
        >>> PlainTokenizer(Tokenizer(WordLevel({"Hello": 0}))).tokenize("Hello").ids.tolist()
        [0]
    """

    def __init__(self, backend: Tokenizer) -> None:
        """Take a tokenizer, which is changed; nobody else may have it."""
        added = backend.get_added_tokens_decoder().values()
        if any(not token.special and token.content.strip(_WHITE) for token in added):
            backend = Tokenizer.from_str(_all_special(backend.to_str()))
        self._plain = backend
        self._plain.no_truncation()
        self._plain.no_padding()
        self._plain.encode_special_tokens = True  # as the letters they are spelt with

    def tokenize(self, text: str) -> Tokens:
        """Tokens of ``text`` with character offsets; a special token's name in it is plain text.

        Raises:
            InputError: the text holds a lone surrogate, which no encoding can store.
        """
        check_text(text)
        encoded = self._plain.encode(text, add_special_tokens=False)
        offsets = np.asarray(encoded.offsets, dtype=np.uint32).reshape(-1, 2)
        ids = np.asarray(encoded.ids, dtype=np.int32)
        return Tokens(ids, offsets[:, 0].copy(), offsets[:, 1].copy())

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``.

        Raises:
            InputError: the text holds a lone surrogate.
        """
        check_text(text)
        return len(self._plain.encode(text, add_special_tokens=False))


class TextTokenizer(PlainTokenizer):
    """Text to token ids and back by a tokenizer of transformers.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> text = TextTokenizer(llm.tokenizer, llm.name, vocabulary=49152)
        >>> text.tokenize("Hello world.").starts.tolist()
        [0, 5, 11]
    """

    def __init__(self, tokenizer: Any, name: str, *, vocabulary: int) -> None:
        """Wrap a tokenizer of :mod:`transformers`.

        Args:
            tokenizer: a fast one.
            name: of its model, for messages.
            vocabulary: rows of the model's embedding.

        Raises:
            ModelError: the tokenizer gives no character offsets.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"the tokenizer of {brief(name)} gives no character offsets; a fast tokenizer is "
                "needed"
            )
        self._tokenizer = tokenizer
        self._name = name
        self._vocabulary = vocabulary
        super().__init__(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """``(n_tokens,)`` int32 ids of ``text``, behind the beginning-of-text token if ``bos``.

        Raises:
            ModelError: there is no such token.
        """
        ids = self.tokenize(text).ids
        if not bos:
            return ids
        if self._tokenizer.bos_token_id is None:
            raise ModelError(
                f"{brief(self._name)} has no beginning-of-text token; train with --no-bos"
            )
        return np.append(np.int32(self._tokenizer.bos_token_id), ids)

    @property
    def adds_bos(self) -> bool:
        """Whether a text gets a beginning-of-text token of the tokenizer's own accord."""
        first: list[int] = self._tokenizer("")["input_ids"][:1]
        return bool(first) and first[0] == self._tokenizer.bos_token_id

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of token ids without the special ones, every space as it was."""
        text: str = self._tokenizer.decode(
            list(map(int, ids)), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def tokenizer_hash(self) -> str:
        """SHA-256 of the vocabulary: two tokenizers with the same one number tokens alike.

        Tokens beyond the model's embedding are left out: some releases of transformers put names
        of their own there.
        """
        known = sorted(
            (token, number)
            for token, number in self._tokenizer.get_vocab().items()
            if number < self._vocabulary
        )
        vocabulary = json.dumps(known, ensure_ascii=False)
        return hashlib.sha256(vocabulary.encode("utf-8", "surrogatepass")).hexdigest()


def _all_special(tokenizer: str) -> str:
    """A tokenizer's JSON in which every added token but white space counts as special.

    ``<think>`` and ``<tool_call>`` steer a model, too, and are not flagged. Runs of white space
    (Gemma's) are pieces of text.
    """
    record = json.loads(tokenizer)
    for token in record.get("added_tokens", ()):
        token["special"] = token["special"] or bool(token["content"].strip(_WHITE))
    return json.dumps(record)
