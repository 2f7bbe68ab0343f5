"""What text costs of a budget: its tokens as it will be read, with what keeps it from the next."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["SEPARATOR", "joined", "priced"]

SEPARATOR = "\n\n"
"""Between two pieces in a prompt: in this library's own, in LangChain's chains that stuff documents
into one, and in LlamaIndex's synthesizers that compact them."""


def joined(texts: Iterable[str]) -> str:
    r"""Pieces as a prompt shows them.

    Example:
        >>> joined(["One.", "Two."])
        'One.\n\nTwo.'
    """
    return SEPARATOR.join(texts)


def priced(text: str, *, first: bool) -> str:
    r"""What a piece adds to a prompt; the tokens of all of them are never fewer than the joined.

    Args:
        text: the piece as it is shown.
        first: whether none stands before it.

    Example:
        >>> priced("One.", first=True), priced("Two.", first=False)
        ('One.', '\n\nTwo.')
    """
    return text if first else SEPARATOR + text
