"""Whether a model is read as it was when its profile was made: a known text, a known next token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.errors import NotLoadedError
from s3_retriever.quoting import quoted

if TYPE_CHECKING:  # cards are read where there is no torch
    from s3_retriever.models.base import LanguageModel

__all__ = ["SelfTest", "make_self_test"]

_TEXT = (
    "Zürich's 3 towers  cost 1,200.50 \u20ac; naïve 日本語 देवनागरी 😀\n\tif x != 0: <|im_end|>\n"
    "The letters of the alphabet: a b c d e f g h i j k l m n o p q r s t u v w x"
)
"""What tokenizers cut differently, then what any language model continues in one way."""
_NEXT = "y"


class SelfTest(BaseModel):
    """What a model made of a text when its profile was made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    text: str = Field(min_length=1, max_length=4096)
    ids: tuple[int, ...]
    """Its tokens, special tokens left out."""
    next_token: str | None = Field(default=None, max_length=64)
    """The likeliest token after it; ``None`` for a model that is not sure (a random one)."""

    def fault_of(self, llm: LanguageModel) -> str | None:
        """What ``llm`` makes of the text otherwise; ``None`` if nothing.

        A model of which only the first layers are in memory has no next token. It is asked for
        the ids alone; that its weights are the right ones is told by their digest, where an index,
        a profile or a plan of other processes knows it.

        Args:
            llm: cuts the text and reads it once, in tens of milliseconds.
        """
        found = tuple(llm.tokenize(self.text).ids.tolist())
        if found != self.ids:
            same = next(
                (n for n, (a, b) in enumerate(zip(found, self.ids, strict=False)) if a != b),
                min(len(found), len(self.ids)),
            )
            return f"a known text has other token ids, from its token {same} on"
        if self.next_token is None:
            return None
        try:
            after = _next_token(llm, self.text)
        except NotLoadedError:
            return None
        if after != self.next_token:
            return f"a known text goes on with {quoted(after)}, not {quoted(self.next_token)}"
        return None


def make_self_test(llm: LanguageModel) -> SelfTest:
    """What ``llm`` makes of a text that has a bit of everything.

    Args:
        llm: the model that a profile is made for, as it was loaded.
    """
    ids = tuple(llm.tokenize(_TEXT).ids.tolist())
    after = _next_token(llm, _TEXT) if len(ids) + 2 < llm.window else ""
    return SelfTest(text=_TEXT, ids=ids, next_token=after if after.strip() == _NEXT else None)


def _next_token(llm: LanguageModel, text: str) -> str:
    ids = llm.prefix_ids(text, bos=llm.adds_bos)
    return "".join(llm.stream(ids.tolist(), max_new_tokens=1))
