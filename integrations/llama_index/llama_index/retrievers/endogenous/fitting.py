"""What LlamaIndex puts into a template, so that the prompt fits the window whatever it counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from s3_retriever.quoting import brief
from s3_retriever.text import fitting_end

__all__ = ["as_texts", "fitting"]

logger = logging.getLogger(__name__)


def as_texts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    r"""Arguments of a template with lists of texts as texts.

    One of LlamaIndex's synthesizers gives the context as a list, which would be written as Python
    writes lists: in brackets and with escapes, of which the model reads more than was counted.

    Example:
        >>> as_texts({"context_str": ["It's late.\n", "Good night."], "query_str": "What?"})
        {'context_str': "It's late.\n\nGood night.", 'query_str': 'What?'}
    """
    return {
        name: "\n".join(value)
        if isinstance(value, list) and all(isinstance(part, str) for part in value)
        else value
        for name, value in arguments.items()
    }


def fitting(
    arguments: Mapping[str, Any], excess: Callable[[Mapping[str, Any]], int]
) -> Mapping[str, Any]:
    """The arguments of a template, the longest text among them cut if they do not fit.

    LlamaIndex guesses how much context fits: without the question, in its first guess, and by
    adding up the tokens of pieces. What the log says was cut is what it packed in excess.

    Args:
        arguments: by name.
        excess: tokens that are too many if the template is filled in with these.

    Returns:
        Them, or others that fit; them also if no cut could make them fit.

    Example:
        >>> fitting({"context": "one two three"}, lambda given: len(given["context"]) - 8)
        {'context': 'one two'}
    """
    if excess(arguments) <= 0:
        return arguments
    texts = {name: value for name, value in arguments.items() if isinstance(value, str)}
    name = max(texts, key=lambda name: len(texts[name]), default=None)
    if name is None:
        return arguments
    text, fits, too_long = texts[name], 0, len(texts[name])
    while too_long - fits > 1:
        tried = (fits + too_long) // 2
        if excess({**arguments, name: text[:tried]}) <= 0:
            fits = tried
        else:
            too_long = tried
    if not fits:
        return arguments
    end = fitting_end(text, fits)
    logger.warning(
        "%s is cut to %d of %d characters, which fit the window", brief(name), end, len(text)
    )
    return {**arguments, name: text[:end]}
