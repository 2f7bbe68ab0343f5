"""Whether a model is read as it was when its profile was made: a known text, a known next token."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.errors import NotLoadedError
from s3_retriever.quoting import quoted

if TYPE_CHECKING:  # cards are read where there is no torch
    from s3_retriever.models.base import LanguageModel

__all__ = ["Latents", "SelfTest", "make_self_test"]

Latents = tuple[tuple[int, ...], ...]
"""At each hookpoint of a profile, the strongest latent of each token of a text."""

_TEXT = (
    "Zürich's 3 towers  cost 1,200.50 \u20ac; naïve 日本語 देवनागरी 😀\n\tif x != 0: <|im_end|>\n"
    "The letters of the alphabet: a b c d e f g h i j k l m n o p q r s t u v w x"
)
"""What tokenizers cut differently, then what any language model continues in one way."""
_NEXT = "y"
_PREFIX_TOKENS = 64
"""More than what stands before the text, and after it."""
_SAME = 0.5
"""Least share of latents that stay: of the shipped profiles 0.98 do when the model is rounded to
bfloat16, and 0.07 to 0.26 when two layers have each other's matrices."""


class SelfTest(BaseModel):
    """What a model made of a text when its profile was made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    text: str = Field(min_length=1, max_length=4096)
    ids: tuple[int, ...]
    """Its tokens, special tokens left out."""
    next_token: str | None = Field(default=None, max_length=64)
    """The likeliest token after it; ``None`` for a model that is not sure (a random one)."""
    latents: Latents = ()
    """Its tokens' strongest latents; empty in profiles of older releases."""

    def fault_of(self, llm: LanguageModel, latents_of: Callable[[str], Latents]) -> str | None:
        """What ``llm`` makes of the text otherwise; ``None`` if nothing.

        A model of which only the first layers are in memory has no next token, and one that was
        not sure has none that could be compared: then its latents are.

        Args:
            llm: cuts the text and reads it once, in tens of milliseconds.
            latents_of: the profile's latents of a text that ``llm`` reads.
        """
        found = tuple(llm.tokenize(self.text).ids.tolist())
        if found != self.ids:
            same = next(
                (n for n, (a, b) in enumerate(zip(found, self.ids, strict=False)) if a != b),
                min(len(found), len(self.ids)),
            )
            return f"a known text has other token ids, from its token {same} on"
        if self.next_token is None:
            return self._other_latents(latents_of)
        try:
            after = _next_token(llm, self.text)
        except NotLoadedError:
            return self._other_latents(latents_of)
        if after != self.next_token:
            return f"a known text goes on with {quoted(after)}, not {quoted(self.next_token)}"
        return None

    def _other_latents(self, latents_of: Callable[[str], Latents]) -> str | None:
        if not self.latents:
            return None
        pairs = list(zip(chain(*self.latents), chain(*latents_of(self.text)), strict=True))
        same = sum(a == b for a, b in pairs) / len(pairs)
        if same >= _SAME:
            return None
        return f"a known text has other features: {same:.0%} of the strongest are the same"


def make_self_test(
    llm: LanguageModel, latents_of: Callable[[str], Latents] = lambda text: ()
) -> SelfTest:
    """What ``llm`` makes of a text that has a bit of everything.

    Args:
        llm: the model that a profile is made for, as it was loaded.
        latents_of: the profile's latents of a text that ``llm`` reads; by default none are kept.
    """
    ids = tuple(llm.tokenize(_TEXT).ids.tolist())
    if len(ids) + _PREFIX_TOKENS > llm.window:
        return SelfTest(text=_TEXT, ids=ids)
    after = _next_token(llm, _TEXT)
    sure = after if after.strip() == _NEXT else None
    return SelfTest(text=_TEXT, ids=ids, next_token=sure, latents=latents_of(_TEXT))


def _next_token(llm: LanguageModel, text: str) -> str:
    ids = llm.prefix_ids(text, bos=llm.adds_bos)
    return "".join(llm.stream(ids.tolist(), max_new_tokens=1))
