"""Values from outside as they stand in messages: short, printable, on one line.

Every error, warning, line in a log and line on a terminal that names an id, a path, a name or
another value which somebody gave asks here, so that no value can steer a terminal, forge a line in
a log, fill a screen, or keep a message from being printed.
"""

from __future__ import annotations

import os
import re

__all__ = ["brief", "one_line", "quoted", "why"]

_MOST_OF_A_NAME = 100
_MOST_OF_A_VALUE = 160
_MOST_OF_A_REASON = 400
_MOST_OF_A_MESSAGE = 2000
_LINE_ENDS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")


def brief(value: object) -> str:
    r"""A value in a message: its beginning and end if it is long, with escapes for what is unseen.

    Controls, line ends, surrogates, characters of no width and those that turn the direction of
    writing are escaped as in Python's literals.

    Example:
        >>> brief("caf\udce9\n.txt"), brief("\u202egpj.exe")
        ('caf\\udce9\\n.txt', '\\u202egpj.exe')
        >>> len(brief("long/" * 1000)), brief("long/" * 1000)[-10:]
        (160, 'long/long/')
    """
    return _cut(_text_of(value), _MOST_OF_A_VALUE)


def quoted(value: object) -> str:
    r"""The same, shorter and with quotation marks around text: a name, or a value of any type.

    Example:
        >>> quoted("a\tb"), quoted(["a"]), quoted(10**5000)
        ("'a\\tb'", "['a']", 'a value of type int')
    """
    if isinstance(value, (str, os.PathLike)):
        return f"'{_cut(_text_of(value), _MOST_OF_A_NAME)}'"
    try:
        return _cut(repr(value), _MOST_OF_A_NAME)
    except Exception:
        return _nameless(value)


def why(error: BaseException) -> str:
    """What the system or another library says about a failure; it may quote paths as they are.

    Example:
        >>> why(OSError(36, "File name too long", "x/" * 3000))[:46]
        "[Errno 36] File name too long: 'x/x/x/x/x/x/x/"
    """
    return one_line(error, _MOST_OF_A_REASON)


def one_line(message: object, most: int = _MOST_OF_A_MESSAGE) -> str:
    r"""A whole message, whoever wrote it: line ends are spaces, the rest is as in :func:`brief`.

    Args:
        message: a text, or an exception.
        most: characters.

    Example:
        >>> one_line("cannot be read:\n  bad \x1b[31mheader")
        'cannot be read: bad \\x1b[31mheader'
    """
    # what is far longer than a message is cut in any case; no need to look at all of it
    text = _text_of(message)
    text = text if len(text) <= 4 * most else f"{text[: 2 * most]} … {text[-2 * most :]}"
    return _cut(_LINE_ENDS.sub(" ", text).strip(), most)


def _text_of(value: object) -> str:
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:
        return _nameless(value)


def _nameless(value: object) -> str:
    return brief(f"a value of type {type(value).__name__}")


def _cut(text: str, most: int) -> str:
    """The escaped text; where it is longer, its beginning and its end, no escape cut in two."""
    if len(text) <= most:
        escaped = [_escaped(character) for character in text]
        if sum(map(len, escaped)) <= most:
            return "".join(escaped)
    begin = _fitting(text, most // 2)
    end = _fitting(text[: -most - 1 : -1], most - 1 - most // 2)
    return "".join(begin) + "…" + "".join(reversed(end))


def _fitting(characters: str, most: int) -> list[str]:
    """The first characters, escaped, that take no more than so much room."""
    found: list[str] = []
    left = most
    for character in characters:
        shown = _escaped(character)
        if len(shown) > left:
            break
        found.append(shown)
        left -= len(shown)
    return found


def _escaped(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
