"""A conversation as token ids, by a model's own chat template; texts in it stay texts.

The template turns roles and contents into one string in which special tokens are written as
text. A content that spells one ("<|im_end|>") would open a turn of its own, and so would a role.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import TemplateError

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, quoted, why

__all__ = ["chat_ids", "check_roles"]

_ROLE = re.compile("[A-Za-z_][A-Za-z0-9_-]{0,31}")

_PLACE = "\ue000{}\ue001"
_PLACES = re.compile("\ue000(\\d+)\ue001")


def check_roles(messages: Sequence[Mapping[str, str]]) -> None:
    r"""Refuse what is no name: it would reach the template as it is.

    Every implementation of :class:`~s3_retriever.models.base.Chat` does this first.

    Raises:
        InputError: a role is missing, no string, or no name of at most 32 letters, digits,
            underscores and hyphens; quotes it with escapes.

    Example:
        >>> check_roles([{"role": "user\n", "content": "Hi"}])
        Traceback (most recent call last):
        ...
        s3_retriever.errors.InputError: 'user\n' is no role of a message: a role is a name ...
    """
    for message in messages:
        role = message.get("role")
        if not isinstance(role, str) or not _ROLE.fullmatch(role):
            raise InputError(
                f"{quoted(role)} is no role of a message: a role is a name such as user, "
                "assistant or system, of at most 32 letters, digits, underscores and hyphens"
            )


def chat_ids(
    tokenizer: Any,
    plain_ids: Callable[[str], np.ndarray],
    name: str,
    messages: Sequence[Mapping[str, str]],
) -> list[int]:
    """Token ids of a conversation, up to where the model's answer begins.

    A model without a template (a base model) gets the plain texts between empty lines, after
    the token it expects first.

    Args:
        tokenizer: of :mod:`transformers`, with or without a chat template.
        plain_ids: ids of a text in which nothing is a special token.
        name: of the model, for messages.
        messages: ``role`` and ``content`` of each; the template sees nothing else of them.

    Raises:
        InputError: a role is no name (:func:`check_roles`), the template refuses the roles or
            their order, or a text is unusable.
    """
    check_roles(messages)
    contents = [message["content"] for message in messages]
    if not getattr(tokenizer, "chat_template", None):
        first: list[int] = tokenizer("")["input_ids"][:1]
        return [*first, *plain_ids("\n\n".join(contents) + "\n\n").tolist()]
    # the template sees numbers in place of the texts, which are put in as plain tokens
    numbered = [
        {"role": message["role"], "content": _PLACE.format(n)} for n, message in enumerate(messages)
    ]
    try:
        text = tokenizer.apply_chat_template(numbered, tokenize=False, add_generation_prompt=True)
    except TemplateError as e:
        raise InputError(f"the chat template of {brief(name)} refuses this: {why(e)}") from e
    ids: list[int] = []
    for n, part in enumerate(_PLACES.split(text)):
        if n % 2:
            ids += plain_ids(contents[int(part)]).tolist()
        else:
            ids += tokenizer(part, add_special_tokens=False)["input_ids"]
    return ids
