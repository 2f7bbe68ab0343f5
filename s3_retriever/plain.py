"""Values of any make as the plain ones that JSON knows.

Metadata that are kept and operands of filters go through the same rules, so that what is stored is
also what is compared.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence, Set
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import numpy as np

from s3_retriever.errors import InputError

__all__ = ["Scalar", "is_date", "items_of", "plain_scalar", "plain_text"]

Scalar = str | int | float | bool | None


def plain_scalar(value: Any) -> Scalar:
    """A single value as a string, a number, a boolean or ``None``.

    Integers, reals and decimals of any make become the integer or the nearest ``float``; dates and
    times ISO 8601 strings; UUIDs and paths strings; an enumeration's member its value. What is
    missing by its maker's word (NaN, NaT, NA) is ``None``. Durations, complex numbers and bytes
    have no one plain form.

    Example:
        >>> plain_scalar(np.float32(0.5)), plain_scalar(Decimal("1995")), plain_scalar(float("nan"))
        (0.5, 1995, None)
        >>> plain_scalar(np.datetime64("1995-05-01")), plain_scalar(UUID(int=5))
        ('1995-05-01', '00000000-0000-0000-0000-000000000005')

    Raises:
        InputError: it has no plain form; names its type.
    """
    if value is None or type(value) in (int, bool):  # most are plain already
        return value  # type: ignore[no-any-return]
    if isinstance(value, Enum):
        return plain_scalar(value.value)
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if _is_missing(value):
        return None
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, np.datetime64):
        value = _from_numpy(value)
    if is_date(value):
        # a subclass may write more digits of a second than can be read back
        text = datetime.isoformat(value) if isinstance(value, datetime) else value.isoformat()
        if isinstance(text, str):
            return plain_text(text)
    elif isinstance(value, UUID):
        return str(value)
    elif isinstance(value, os.PathLike):
        if isinstance(path := os.fspath(value), str):
            return plain_text(path)
    elif isinstance(value, np.timedelta64):  # calls itself an integer, without its unit
        pass
    elif isinstance(value, Integral):
        return int(value)
    elif isinstance(value, Real):
        return _nearest(value)
    elif isinstance(value, np.ndarray) and value.ndim == 0:
        return plain_scalar(value[()])
    raise InputError(f"{type(value).__name__} has no plain form; make it a string or a number")


def plain_text(text: str) -> str:
    r"""A string that UTF-8 can hold: lone surrogates (of odd file names) are written out.

    Example:
        >>> plain_text("caf\udce9.txt")
        'caf\\udce9.txt'
    """
    exact = str.__str__(text)  # of a subclass, too
    return exact.encode("utf-8", "backslashreplace").decode("utf-8")


def items_of(value: Any) -> Sequence[Any] | None:
    """The items of a list, tuple, set, array or the like; ``None`` for anything else.

    A set's come in an order that is the same in every process.

    Example:
        >>> items_of((2, 1)), items_of({"b", "a"}), items_of("ab")
        ((2, 1), ['a', 'b'], None)
    """
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim else None
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return None
    if isinstance(value, Set):
        try:
            return sorted(value)
        except TypeError:
            return sorted(value, key=lambda item: (type(item).__name__, str(item)))
    return value if isinstance(value, Sequence) else None


def is_date(value: Any) -> bool:
    """Whether a value is a date or a time of some make: it writes itself as ISO 8601.

    Example:
        >>> is_date(date(1995, 5, 1)), is_date(np.datetime64("1995")), is_date("1995-05-01")
        (True, True, False)
    """
    if isinstance(value, Enum):
        return is_date(value.value)
    if isinstance(value, (type, timedelta)):
        return False
    return isinstance(value, (date, np.datetime64)) or callable(getattr(value, "isoformat", None))


def _is_missing(value: Any) -> bool:
    """Whether a value says that it is none: by not being equal to itself, or by pandas' name."""
    if type(value).__name__ == "NAType":  # will not say whether it equals itself
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError, ArithmeticError):
        return False


def _number(value: Decimal) -> int | float | None:
    if value.is_nan():
        return None
    nearest = _nearest(value)
    # by way of the float, so that nobody has 1E+1000000000 written out
    if nearest.is_integer() and value == value.to_integral_value():
        return int(value)
    return nearest


def _nearest(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _from_numpy(value: np.datetime64) -> Any:
    """A date where the unit is days or more, else a moment to the microsecond."""
    unit = "D" if np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D") else "us"
    found = value.astype(f"datetime64[{unit}]").item()
    if isinstance(found, date):
        return found
    raise InputError("a datetime64 outside the years 1 to 9999 has no plain form")
