"""The resident model's own tokens, in which LlamaIndex packs its prompts."""

from __future__ import annotations

import functools
import weakref

import llama_index.core
import tiktoken
from llama_index.core.utils import set_global_tokenizer

from s3_retriever.client import RemoteChat
from s3_retriever.errors import ServerError
from s3_retriever.models.base import LanguageModel

__all__ = ["OwnTokens", "count_in_own_tokens"]

_ASKED = 256
"""Texts whose tokens a server was asked for last: LlamaIndex counts the same prompt parts often."""


class OwnTokens:
    """A model's tokenizer in the form LlamaIndex asks for; it does not keep the model alive."""

    def __init__(self, llm: LanguageModel | RemoteChat) -> None:
        """Count in a model's tokens.

        Args:
            llm: the resident model, or a server's, which is asked a text at a time.
        """
        self._llm = weakref.ref(llm)
        self._asked = functools.lru_cache(_ASKED)(self._ask)

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, for LlamaIndex to count.

        Of a single character it gets the bytes: where a text has no spaces LlamaIndex cuts it to
        characters and adds their counts up, and together they can take more tokens than one by
        one, but never more than bytes. So it does of any text once the model is gone, or while its
        server does not answer: what is asked of it next will say so.
        """
        encoded = text.encode("utf-8", "replace")
        llm = self._llm()
        if llm is None or len(text) == 1:
            return list(encoded)
        if isinstance(llm, RemoteChat):
            try:
                return list(self._asked(encoded.decode("utf-8")))
            except ServerError:
                return list(encoded)
        ids: list[int] = llm.tokenize(encoded.decode("utf-8")).ids.tolist()
        return ids

    def _ask(self, text: str) -> list[int]:
        llm = self._llm()
        return llm.token_ids(text) if isinstance(llm, RemoteChat) else []


def count_in_own_tokens(llm: LanguageModel | RemoteChat) -> None:
    """Let LlamaIndex count in a model's tokens, unless somebody has chosen a tokenizer.

    LlamaIndex packs prompts, cuts texts and trims histories by one tokenizer for all, by default
    OpenAI's, which counts a third of what a small model's takes for Thai or Hindi: prompts would
    not fit the window.
    """
    known = llama_index.core.global_tokenizer
    if known is None or isinstance(known, OwnTokens) or _is_default(known):
        set_global_tokenizer(OwnTokens(llm))


def _is_default(tokenizer: object) -> bool:
    """Whether it is what LlamaIndex sets by itself."""
    if not isinstance(tokenizer, functools.partial):
        return False
    return isinstance(getattr(tokenizer.func, "__self__", None), tiktoken.Encoding)
