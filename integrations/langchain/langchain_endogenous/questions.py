"""The question in what a chain hands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["question_of"]

_KEYS = ("question", "query", "input")
"""Where LangChain's chains keep it."""


def question_of(given: Any) -> Any:
    """The question of a mapping that holds one; anything else as it is.

    Example:
        >>> question_of({"question": "Why?", "language": "en"}), question_of("Why?")
        ('Why?', 'Why?')
        >>> question_of({"question": "Why?", "input": "How?"})
        {'question': 'Why?', 'input': 'How?'}
    """
    if not isinstance(given, Mapping):
        return given
    found = {given[key] for key in _KEYS if isinstance(given.get(key), str)}
    return found.pop() if len(found) == 1 else given
