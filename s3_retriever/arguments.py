"""What callers may give to a public method: checked once, where it comes in.

A wrong type is an :class:`~s3_retriever.errors.InputError` that names the argument, not whatever it
would break further in. Messages name types, never values.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import BeforeValidator, InstanceOf, TypeAdapter, ValidationError

from s3_retriever.errors import InputError
from s3_retriever.giving import is_one_document
from s3_retriever.quoting import why
from s3_retriever.settings import RetrieveSettings, ScanSettings
from s3_retriever.types import Span, SpanRef

__all__ = [
    "CALLBACK",
    "CHANGES",
    "COUNT",
    "DOCUMENTS",
    "FILTER",
    "IDS",
    "NAME",
    "PATH",
    "QUESTIONS",
    "REFS",
    "SCAN",
    "SETTINGS",
    "SHARE",
    "SOME_COUNT",
    "SOME_NAME",
    "SPAN",
    "TEMPERATURE",
    "TEXT",
    "TEXTS",
    "checked",
    "listed",
]

P = ParamSpec("P")
R = TypeVar("R")

_MOST = 2**63 - 1
_MOST_DEPTH = 130
"""Of the structure; what may stand in one another 64 times is the filter's own rule."""
_MOST_BITS = 14_000
"""4,200 digits: longer numbers Python does not print."""


def checked(**kinds: TypeAdapter[Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose arguments of these names are checked before it begins.

    Args:
        **kinds: by argument, one of the kinds of this module.

    Example:
        >>> @checked(k=COUNT)
        ... def first(k: int) -> int:
        ...     return k
        >>> first(2)
        2
        >>> first("2")
        Traceback (most recent call last):
        ...
        s3_retriever.errors.InputError: k must be a whole number, not a str
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            for name, kind in kinds.items():
                if name in given.arguments:
                    given.arguments[name] = _usable(name, kind, given.arguments[name])
            return method(*given.args, **given.kwargs)

        return call

    return decorate


def _usable(name: str, kind: TypeAdapter[Any], value: object) -> Any:
    try:
        return kind.validate_python(value)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        own = first.get("ctx", {}).get("error")  # what a function below said
        raise InputError(f"{name} {own or 'is of a wrong type: ' + first['msg']}") from None


def listed(given: Any, what: str, one: type = str) -> list[Any]:
    """What was given, as a list: a string is one of its kind, not the letters it is made of.

    Every public function that takes several texts, ids, paths or documents asks here.

    Args:
        given: several, in anything that can be iterated; or one, which is a list of itself.
        what: they are, for the message.
        one: type of a single one, beside strings and paths.

    Raises:
        InputError: it is nothing of that kind: ``None``, a number, bytes, a mapping.

    Example:
        >>> listed("Hello", "texts"), listed(("a", "b"), "ids")
        (['Hello'], ['a', 'b'])
    """
    try:
        return _several(given, one)
    except ValueError as e:
        raise InputError(f"{what} {why(e)}") from None


def _string(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not a {type(value).__name__}")
    return str(value)  # numpy's is a subclass


def _count(value: Any) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(f"must be a whole number, not a {type(value).__name__}")
    if number < 1:
        raise ValueError(f"must be at least 1, not {number if number > -_MOST else 'less'}")
    if number > _MOST:
        raise ValueError(f"must be at most {_MOST}; None is no limit")
    return number


def _temperature(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):  # numpy's numbers are some, too
        raise ValueError(f"must be a number, not a {type(value).__name__}")
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"must be a number from 0, not {number}")
    return number


def _share(value: Any) -> float:
    number = _temperature(value)
    if number > 1:
        raise ValueError(f"must be a number from 0 to 1, not {number}")
    return number


def _strings(value: object) -> list[object]:
    return [_string(item) for item in _several(value)]


def _documents(value: object) -> list[object]:
    return [value] if is_one_document(value) else _several(value)


def _refs(value: object) -> list[object]:
    refs = _several(value, SpanRef)
    if wrong := [type(ref).__name__ for ref in refs if not isinstance(ref, SpanRef)]:
        raise ValueError(f"must be a list of SpanRef, but holds a {wrong[0]}")
    return refs


def _several(value: object, one: type = str) -> list[object]:
    """The items of an iterable; one string, path or other single thing is a list of itself."""
    if isinstance(value, (str, os.PathLike, one)):
        return [value]
    if isinstance(value, (bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise ValueError(f"must be a list, not {type(value).__name__}")
    return list(value)


def _path(value: object) -> Path:
    if not isinstance(value, (str, os.PathLike)) or isinstance(path := os.fspath(value), bytes):
        raise ValueError(f"must be a path, not a {type(value).__name__}")
    if not path or "\x00" in path:
        raise ValueError("must be a path: it is empty or holds a NUL character")
    return Path(value)


def _filter(value: object) -> object:
    """A filter that can be walked through: bounded in depth, keys strings, numbers printable."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of fields to conditions, not a {type(value).__name__}")
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        part, depth = todo.pop()
        if depth > _MOST_DEPTH:
            raise ValueError("is nested too deep")
        if isinstance(part, Mapping):
            if wrong := [type(key).__name__ for key in part if not isinstance(key, str)]:
                raise ValueError(f"has a field or operator that is a {wrong[0]}, not a string")
            todo += ((inner, depth + 1) for inner in part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            todo += ((inner, depth + 1) for inner in part)
        elif isinstance(part, int) and part.bit_length() > _MOST_BITS:
            raise ValueError("holds a whole number of thousands of digits")
    return value


def _changes(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be metadata by id, not a {type(value).__name__}")
    for doc_id in value:
        _string(doc_id)
    return value


def _callback(value: object) -> object:
    if not callable(value):
        raise ValueError(f"must be a function, not a {type(value).__name__}")
    return value


def _kind(check: Callable[[Any], object]) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Any, BeforeValidator(check)])


def _optional(check: Callable[[Any], object]) -> TypeAdapter[Any]:
    return _kind(lambda value: None if value is None else check(value))


TEXT = _kind(_string)
"""A question or a text."""
NAME = _kind(_string)
"""An id or a name."""
SOME_NAME = _optional(_string)
"""A name, or ``None``."""
COUNT = _kind(_count)
"""A whole number of at least 1."""
SOME_COUNT = _optional(_count)
"""The same, or ``None`` for no limit."""
TEMPERATURE = _kind(_temperature)
"""A finite number of at least 0."""
SHARE = _kind(_share)
"""A number from 0 to 1."""
IDS = _kind(_strings)
"""Ids; one string is one id."""
TEXTS = _kind(_strings)
"""Texts; one string is one text."""
QUESTIONS = _kind(_several)
"""Questions, each of which is checked when it is asked; one string is one question."""
DOCUMENTS = _kind(_documents)
"""Documents, strings, dicts and documents of frameworks; one is taken for a list of one."""
REFS = _kind(_refs)
"""Places in documents."""
PATH = _kind(_path)
"""A file or folder."""
FILTER = _kind(_filter)
"""A condition on metadata, or ``None``; what its operators are is checked by the filter."""
CHANGES = _kind(_changes)
"""New metadata by id."""
CALLBACK = _kind(_callback)
"""A function."""
SETTINGS: TypeAdapter[Any] = TypeAdapter(InstanceOf[RetrieveSettings] | None)
"""Settings, or ``None``."""
SCAN: TypeAdapter[Any] = TypeAdapter(InstanceOf[ScanSettings] | None)
"""How documents are read, or ``None``."""
SPAN: TypeAdapter[Any] = TypeAdapter(InstanceOf[Span])
"""A span that was found."""
