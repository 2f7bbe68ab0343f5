"""Attributes that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["lazy"]

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 - it is used as a decorator
    """``functools.cached_property`` without its lock.

    Before Python 3.12 that lock is one for all objects of a class: a question would wait until
    those of other threads have read theirs.

    Example:
        >>> class Square:
        ...     @lazy
        ...     def area(self) -> int:
        ...         print("made")
        ...         return 4
        >>> square = Square()
        >>> square.area + square.area
        made
        8
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        """Take what makes the value of an object."""
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the attribute's name."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        """Make the value and keep it in the object, where it is found from now on."""
        if instance is None:
            return self
        value = vars(instance)[self._name] = self._make(instance)
        return value
